package ingest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

const (
	// sliceSize is how many events are handled at once while the process answers requests.
	sliceSize = 250
	// pausePerRequest is how long handling pauses for each request that was answered during a slice, maxPauseFactor how
	// many times the duration of the slice it pauses at most.
	pausePerRequest = 200 * time.Microsecond
	maxPauseFactor  = 4
	// minRate is how many events a second are let through however many requests are answered, so that a backlog always
	// drains. The in-process bus has 10 s to confirm what it was given, several thousand events.
	minRate = 2000
)

// Pace hands events to a handler so that they leave processor time to the requests that the same process answers
// meanwhile: it makes small batches of them and pauses in between, the longer the more requests there were. Without
// requests it does nothing.
type Pace struct {
	next     bus.Handler
	answered *atomic.Uint64

	mu     sync.Mutex
	seen   uint64    // requests answered when the last slice began
	resume time.Time // when the next slice may begin
}

// NewPace returns a pace of next. answered counts the requests that the process has answered.
func NewPace(next bus.Handler, answered *atomic.Uint64) *Pace {
	return &Pace{next: next, answered: answered}
}

// Handle is a bus.Handler.
func (p *Pace) Handle(ctx context.Context, events []event.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rejected := bus.Rejected{}
	for done := 0; done < len(events); {
		if err := clock.Sleep(ctx, time.Until(p.resume)); err != nil {
			return err
		}
		n := len(events) - done
		if p.answered.Load() != p.seen {
			n = min(n, sliceSize)
		}
		err := p.handle(ctx, events[done:done+n])
		var some bus.Rejected
		if err != nil && !errors.As(err, &some) {
			return err
		}
		for i, why := range some {
			rejected[done+i] = why
		}
		done += n
	}
	return rejected.OrNil()
}

// handle hands over one slice and sets when the next may begin.
func (p *Pace) handle(ctx context.Context, events []event.Event) error {
	began := time.Now()
	p.seen = p.answered.Load()
	err := p.next(ctx, events)
	worked := time.Since(began)
	p.resume = began.Add(worked + pauseAfter(worked, p.answered.Load()-p.seen, len(events)))
	return err
}

// pauseAfter is the pause after a slice of n events that took worked, during which so many requests were answered.
func pauseAfter(worked time.Duration, answered uint64, n int) time.Duration {
	wanted := min(time.Duration(answered)*pausePerRequest, maxPauseFactor*worked)
	return max(0, min(wanted, time.Duration(n)*time.Second/minRate-worked))
}
