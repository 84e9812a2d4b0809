package store_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// boundedProcess marks the process that TestAProcessAtItsBoundLives starts: this test alone, with little memory.
const boundedProcess = "LATCHKEY_TEST_BOUNDED_PROCESS"

// TestAProcessAtItsBoundLives asks for more licenses than fit into the memory limit of a process: every answer is
// right, and the memory stays near the limit.
func TestAProcessAtItsBoundLives(t *testing.T) {
	if os.Getenv(boundedProcess) != "" {
		askForTooMuch(t)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAProcessAtItsBoundLives$", "-test.v")
	child.Env = append(os.Environ(), boundedProcess+"=1", "GOMEMLIMIT=40MiB")
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "answers") {
		t.Errorf("the process with a memory limit: %v\n%s", err, out)
	}
}

func askForTooMuch(t *testing.T) {
	const (
		many     = 2000
		metadata = 32 << 10 // bytes of each license: 64 MB in all
		limit    = 40 << 20
	)
	d := testkit.SQLite(t, migrations...)
	r := replicas(t, d, 1)[0]
	made := occupy(t, r, many, func(l *licensing.License) {
		l.Metadata = []byte(`{"x":"` + strings.Repeat("x", metadata) + `"}`)
	})
	r.Lookup = store.NewLookup(d, keys(t, d, 1), clock.NewFake(noon),
		store.CacheOptions{Bytes: 4 << 20, Link: r.link.From("license")})
	most, answers := uint64(0), 0
	for range 2 {
		for i, key := range made {
			v, err := r.Validate(t.Context(), key, client("device of "+key))
			// the machine is busy with other tests
			for errors.Is(err, context.DeadlineExceeded) || errors.Is(err, apierr.ErrUnavailable) {
				v, err = r.Validate(t.Context(), key, client("device of "+key))
			}
			if err != nil || !v.Valid || v.License.ID != licenseNumber(i) || len(v.License.Metadata) < metadata {
				t.Fatalf("validation of %s: %+v, %v", key, v, err)
			}
			answers++
			if answers%100 == 0 {
				most = max(most, memory())
			}
		}
	}
	if most > limit*5/4 { // Go exceeds its limit rather than stop working
		t.Errorf("the process held %d MiB, its limit is %d MiB", most>>20, limit>>20)
	}
	t.Logf("%d answers with at most %d MiB", answers, most>>20)
}

// memory is what the Go runtime holds: what GOMEMLIMIT bounds.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
