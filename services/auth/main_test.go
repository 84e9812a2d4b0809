package auth_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every test must leave no goroutine of the service behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
