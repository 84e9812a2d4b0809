package testkit

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// verdict is a test that only remembers how it was ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Skip(args ...any) {
	v.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func judge(t *testing.T, test func(testing.TB)) *verdict {
	v, done := &verdict{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		test(v)
	}()
	<-done
	return v
}

func TestWithoutAServer(t *testing.T) {
	for name, test := range map[string]func(testing.TB){
		envDatabase: func(t testing.TB) { Postgres(t) },
		envAMQP:     func(t testing.TB) { AMQP(t) },
	} {
		t.Setenv(name, "")
		t.Setenv(envRequireReal, "")
		if v := judge(t, test); !strings.HasPrefix(v.skipped, "NOT COVERED:") || !strings.Contains(v.skipped, name) {
			t.Errorf("%s: skipped %q, failed %q", name, v.skipped, v.failed)
		}
		t.Setenv(envRequireReal, "1")
		if v := judge(t, test); v.failed == "" || v.skipped != "" {
			t.Errorf("%s, a server required: skipped %q, failed %q", name, v.skipped, v.failed)
		}
	}
}
