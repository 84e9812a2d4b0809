package app

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 5 << 20: 400, 20 << 20: 400, 40 << 20: 200, 80 << 20: 100, 1 << 30: 50} {
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
