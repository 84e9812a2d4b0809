package ingest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
)

// paced is a handler that takes 40 us for each event, in a process that answers so many requests a second.
type paced struct {
	perSecond int
	answered  atomic.Uint64
	sizes     []int
	fails     map[int]error // by the number of the call
}

func (p *paced) handle(_ context.Context, events []event.Event) error {
	work := time.Duration(len(events)) * 40 * time.Microsecond
	time.Sleep(work)
	p.answered.Add(uint64(p.perSecond) * uint64(work) / uint64(time.Second))
	p.sizes = append(p.sizes, len(events))
	return p.fails[len(p.sizes)]
}

func TestPaceLeavesTimeToRequests(t *testing.T) {
	for _, c := range []struct {
		name      string
		perSecond int
		sizes     []int
		took      time.Duration // for two batches of 500 events; bare work is 40 ms
	}{
		{name: "no requests", sizes: []int{500, 500}, took: 40 * time.Millisecond},
		// 2 requests in the first 20 ms, one in each 10 ms later: pauses of 0.4 and 0.2 ms, no pause after the last.
		{name: "100 requests a second", perSecond: 100, sizes: []int{500, 250, 250}, took: 40600 * time.Microsecond},
		// 40 requests in 20 ms: 8 ms; 20 in 10 ms: 4 ms.
		{name: "2,000 requests a second", perSecond: 2000, sizes: []int{500, 250, 250}, took: 52 * time.Millisecond},
		// Four times the work, 80 and 40 ms.
		{name: "as many as there can be", perSecond: 50_000, sizes: []int{500, 250, 250}, took: 160 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &paced{perSecond: c.perSecond}
				pace, began := ingest.NewPace(p.handle, &p.answered), time.Now()
				for range 2 {
					if err := pace.Handle(t.Context(), make([]event.Event, 500)); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(c.sizes, p.sizes); diff != "" {
					t.Errorf("sizes of the slices, -want +got:\n%s", diff)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// TestPaceAlwaysDrains: a handler that is slow by itself is not slowed down below 2,000 events a second.
func TestPaceAlwaysDrains(t *testing.T) {
	for name, perEvent := range map[string]time.Duration{"fast": 100 * time.Microsecond, "slow": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var answered atomic.Uint64
				slow := func(_ context.Context, events []event.Event) error {
					time.Sleep(time.Duration(len(events)) * perEvent)
					answered.Add(1_000_000)
					return nil
				}
				pace, began := ingest.NewPace(slow, &answered), time.Now()
				for range 20 {
					if err := pace.Handle(t.Context(), make([]event.Event, 250)); err != nil {
						t.Fatal(err)
					}
				}
				if most := 20 * 250 * max(perEvent, 500*time.Microsecond); time.Since(began) > most {
					t.Errorf("5,000 events took %v, want at most %v", time.Since(began), most)
				}
			})
		})
	}
}

func TestPacePassesOnWhatFailed(t *testing.T) {
	broken := errors.New("broken")
	p := &paced{perSecond: 10_000, fails: map[int]error{2: bus.Rejected{0: broken, 249: broken}, 5: broken}}
	p.answered.Add(1)
	synctest.Test(t, func(t *testing.T) {
		pace := ingest.NewPace(p.handle, &p.answered)
		var rejected bus.Rejected
		err := pace.Handle(t.Context(), make([]event.Event, 600))
		if !errors.As(err, &rejected) || len(rejected) != 2 || rejected[250] != broken || rejected[499] != broken {
			t.Errorf("rejected are %v", err)
		}
		if err := pace.Handle(t.Context(), make([]event.Event, 600)); !errors.Is(err, broken) {
			t.Errorf("an error of a slice: %v", err)
		}
		if diff := cmp.Diff([]int{250, 250, 100, 250, 250}, p.sizes); diff != "" {
			t.Errorf("sizes of the slices, -want +got:\n%s", diff)
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{perSecond: 10_000}
		pace := ingest.NewPace(p.handle, &p.answered)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := pace.Handle(ctx, make([]event.Event, 500)); err != nil {
			t.Fatal(err)
		}
		if err := pace.Handle(ctx, make([]event.Event, 500)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a pause that outlasts its context: %v", err)
		}
	})
}
