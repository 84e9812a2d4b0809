package guard

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

const (
	// madeBurst and madePerSecond bound the look-ups of an address beyond its limit: of credentials that nobody can
	// guess, but anybody can make up. That many have a place in the queue, and it grows again at this rate.
	madeBurst     = 64
	madePerSecond = 20
	madePace      = int64(time.Second/time.Microsecond) / madePerSecond
)

// waiter is a credential in the queue of its address.
type waiter struct {
	credential Credential
	decided    chan struct{} // closed once the rest is final
	place      *address      // where it has a place, to be given back; nil where it needs none
	err        error
}

// enter waits for a place among those of the address that are being looked at, behind all that came before. A place is
// free while the failures known and those that may yet come of the places taken stay within the limit, and where no
// place is taken.
func (a *Attempts) enter(ctx context.Context, from string, credential Credential) (*address, error) {
	w := &waiter{credential: credential, decided: make(chan struct{})}
	withdraw, err := a.queue(from, w)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.decided:
	case <-ctx.Done():
		withdraw(apierr.ErrUnavailable.WithCause(ctx.Err()))
	case <-httpx.Left(ctx):
		withdraw(apierr.ErrUnavailable.WithCause(context.Canceled))
	}
	return w.place, w.err
}

// queue puts a credential at the end of the queue. withdraw takes it out again with err, unless it is decided by then.
func (a *Attempts) queue(from string, w *waiter) (withdraw func(err error), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.state(from, a.clock.Now().UnixMicro())
	if err := a.limited(s, w.credential, s.waiting.Len()); err != nil {
		return nil, err
	}
	e := s.waiting.PushBack(w)
	a.admit(s)
	return func(err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		select {
		case <-w.decided:
		default:
			s.waiting.Remove(e)
			w.err = err
		}
	}, nil
}

// admit decides on the first in the queue, and on those behind them as far as there are places.
func (a *Attempts) admit(s *address) {
	for e := s.waiting.Front(); e != nil; e = s.waiting.Front() {
		w := e.Value.(*waiter)
		if !a.wasGood(w.credential) && !a.place(s, w) { // good: it passed meanwhile
			return
		}
		s.waiting.Remove(e)
		close(w.decided)
	}
}

// place gives a waiter a place, or the reason why it gets none. It reports false where it has to wait.
func (a *Attempts) place(s *address, w *waiter) bool {
	now := a.clock.Now().UnixMicro()
	if w.err = a.limited(s, w.credential, 0); w.err != nil {
		return true
	}
	if s.busy >= atOnce || s.room(now, a.limit) <= 0 && s.busy > 0 {
		return false
	}
	s.take(now, a.limit)
	w.place = s
	return true
}

// leave gives a place back, to the next in the queue; nil is the place of a credential that needed none.
func (a *Attempts) leave(place *address) {
	if place == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	place.busy--
	a.admit(place)
}
