package app

import (
	"errors"
	"runtime"
	"testing"
	"time"

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
