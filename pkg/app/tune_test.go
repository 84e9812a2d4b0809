package app

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0:        400,
		5 << 20:  400,
		20 << 20: 400,
		40 << 20: 200,
		80 << 20: 100,
		1 << 30:  50,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB live: %d, want %d", live>>20, got, want)
		}
	}
}

func TestAfterEachGC(t *testing.T) {
	calls := make(chan struct{}, 100)
	afterEachGC(func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	})
	for range 3 {
		testkit.Eventually(t, 10*time.Second, func() error { // a cleanup runs some time after its collection
			runtime.GC()
			select {
			case <-calls:
				return nil
			default:
				return errors.New("not called")
			}
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	if limit := MemoryLimit(); limit < 16<<20 {
		t.Errorf("%d bytes cannot be what a process may have", limit)
	}
	of := func(limit uint64) memlimit.Provider { return func() (uint64, error) { return limit, nil } }
	none := func() (uint64, error) { return 0, memlimit.ErrNoLimit }
	for name, c := range map[string]struct {
		container, machine memlimit.Provider
		want               uint64
	}{
		"a container":                     {of(512 << 20), of(8 << 30), 512 << 20},
		"a container without a limit":     {none, of(8 << 30), 8 << 30},
		"a container above the machine":   {of(16 << 30), of(2 << 30), 2 << 30},
		"a machine that does not tell":    {of(512 << 20), none, 512 << 20},
		"nothing can be found out":        {none, none, 1 << 30},
		"a limit of nothing, which is no": {of(0), of(8 << 30), 8 << 30},
	} {
		if got := memoryLimit(c.container, c.machine); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// tuneFrom is the memory limit of a process in which Tune has not run yet.
const tuneFrom = 77 << 20

// TestTheRuntimeFollowsTheMemoryLimit: Tune makes nine tenths of the container's limit that of the runtime, and where
// there is none it has none. GOMEMLIMIT says otherwise.
func TestTheRuntimeFollowsTheMemoryLimit(t *testing.T) {
	limit, err := memlimit.FromCgroup()
	want := int64(float64(limit) * 0.9)
	if err != nil {
		want = math.MaxInt64
	}
	for setting, want := range map[string]int64{"": want, "GOMEMLIMIT=123MiB": tuneFrom} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{"LATCHKEY_TEST_TUNE=1", setting}
		out, err := cmd.Output()
		if got, _ := strconv.ParseInt(string(out), 10, 64); err != nil || got != want {
			t.Errorf("%s: the limit is %s, want %d (%v)", setting, out, want, err)
		}
	}
}

func TestMemoryIsReturnedWhenItIsQuiet(t *testing.T) {
	before := heap{collections: 10, live: 40 << 20, held: 400 << 20}
	for name, c := range map[string]struct {
		now  heap
		want bool
	}{
		"quiet after a rush":      {heap{collections: 10, live: 40 << 20, held: 400 << 20}, true},
		"collected once":          {heap{collections: 11, live: 40 << 20, held: 100 << 20}, true},
		"at work":                 {heap{collections: 12, live: 40 << 20, held: 400 << 20}, false},
		"nothing worth the while": {heap{collections: 10, live: 40 << 20, held: 47 << 20}, false},
		"little of what is live":  {heap{collections: 10, live: 800 << 20, held: 840 << 20}, false},
		"all of it is live":       {heap{collections: 10, live: 390 << 20, held: 400 << 20}, false},
	} {
		if got := c.now.returnable(before); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReadHeap(t *testing.T) {
	runtime.GC()
	h := readHeap()
	if h.collections == 0 || h.live == 0 || h.held < h.live {
		t.Errorf("%+v", h)
	}
}
