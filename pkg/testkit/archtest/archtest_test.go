package archtest_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// spy counts failures instead of failing.
type spy struct {
	testing.TB
	failures int
}

func (s *spy) Helper()               {}
func (s *spy) Errorf(string, ...any) { s.failures++ }

func TestRules(t *testing.T) {
	for forbidden, want := range map[string]int{"os/exec": 1, "os/ex": 0, "net/http": 0, "example.com": 0} {
		s := &spy{TB: t}
		archtest.Rules(s, ".", forbidden)
		if s.failures != want {
			t.Errorf("%s: %d failures, want %d", forbidden, s.failures, want)
		}
	}
}

func TestImports(t *testing.T) {
	for forbidden, want := range map[string]int{"os/exec": 1, "syscall": 0} {
		s := &spy{TB: t}
		archtest.Imports(s, ".", forbidden)
		if s.failures != want {
			t.Errorf("%s: %d failures, want %d", forbidden, s.failures, want)
		}
	}
}
