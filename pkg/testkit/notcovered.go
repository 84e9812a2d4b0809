package testkit

import (
	"fmt"
	"os"
	"testing"
)

// NotCovered ends a test whose means are missing: as a skip that the test command counts and reports loudly, or as a
// failure where everything must be real.
func NotCovered(t testing.TB, format string, args ...any) {
	t.Helper()
	missing := fmt.Sprintf(format, args...)
	if os.Getenv(envRequireReal) == "1" {
		t.Fatalf("%s=1, and this is missing: %s", envRequireReal, missing)
	}
	t.Skip("NOT COVERED: " + missing)
}
