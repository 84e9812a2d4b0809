// Package delivery delivers events to a handler with the patience that package bus promises. Both implementations use
// it, so that failures are treated the same way on RabbitMQ of every version and in process: an event becomes a dead
// letter after bus.Queue.MaxAttempts tries, which the process of the consumer counts. What kills that process, the
// broker counts (deathLimit in package amqp).
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Dead is an event that becomes a dead letter.
type Dead struct {
	Event    event.Event
	Reason   string
	Attempts int
}

// Store stores dead letters, all of them or none; it is called again until it returns nil.
type Store func(ctx context.Context, dead []Dead) error

// Deliverer delivers events to a handler. It is safe for use by one consumer at a time.
type Deliverer struct {
	Queue  bus.Queue
	Handle bus.Handler
	Store  Store
	Log    *slog.Logger
}

// Deliver returns nil when every event is committed or a dead letter. It fails only when ctx ends, and then any of them
// may be delivered again.
func (d *Deliverer) Deliver(ctx context.Context, events []event.Event) error {
	switch len(events) {
	case 0:
		return nil
	case 1:
		return d.single(ctx, events)
	}
	settled, err := d.attempt(ctx, events)
	if settled {
		return err
	}
	d.Log.WarnContext(ctx, "a batch failed; its halves are tried by themselves",
		"queue", d.Queue.Name, "events", len(events), "error", err)
	half := len(events) / 2
	if err := d.Deliver(ctx, events[:half]); err != nil {
		return err
	}
	return d.Deliver(ctx, events[half:])
}

func (d *Deliverer) single(ctx context.Context, one []event.Event) error {
	for attempt := 1; ; attempt++ {
		settled, err := d.attempt(ctx, one)
		switch {
		case settled:
			return err
		case attempt >= d.Queue.MaxAttempts:
			return d.giveUp(ctx, one[0], err.Error(), attempt)
		}
		d.Log.WarnContext(ctx, "an event failed and is tried again",
			"queue", d.Queue.Name, "event_id", one[0].ID, "type", one[0].Type, "attempt", attempt, "error", err)
		if err := Pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// attempt hands the events over. When settled is false, err is why they failed and they have to be tried again.
func (d *Deliverer) attempt(ctx context.Context, events []event.Event) (settled bool, err error) {
	err = d.try(ctx, events)
	var rejected bus.Rejected
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.As(err, &rejected):
		return true, d.reject(ctx, events, rejected)
	}
	return false, err
}

// reject makes dead letters of the named events, in their order, with one line in the log for all.
func (d *Deliverer) reject(ctx context.Context, events []event.Event, rejected bus.Rejected) error {
	var dead []Dead
	for i, e := range events {
		if reason, bad := rejected[i]; bad {
			dead = append(dead, Dead{e, ShortReason(reason.Error()), 1})
		}
	}
	if err := d.store(ctx, dead); err != nil {
		return err
	}
	d.Log.ErrorContext(ctx, "events were rejected and are now dead letters",
		"queue", d.Queue.Name, "rejected", len(rejected), "of", len(events), "error", rejected)
	return nil
}

// giveUp makes a dead letter of an event that failed too often.
func (d *Deliverer) giveUp(ctx context.Context, e event.Event, reason string, attempts int) error {
	if err := d.store(ctx, []Dead{{e, ShortReason(reason), attempts}}); err != nil {
		return err
	}
	d.Log.ErrorContext(ctx, "an event failed too often and is now a dead letter",
		"queue", d.Queue.Name, "event_id", e.ID, "type", e.Type, "attempts", attempts, "error", reason)
	return nil
}

func (d *Deliverer) store(ctx context.Context, dead []Dead) error {
	return Persist(ctx, d.Log.With("queue", d.Queue.Name, "dead_letters", len(dead)), func() error {
		return d.Store(ctx, dead)
	})
}

// Persist stores dead letters, however long that takes. It fails only when ctx ends.
func Persist(ctx context.Context, log *slog.Logger, store func() error) error {
	for n := 1; ; n++ {
		err := store()
		if err == nil {
			return nil
		}
		log.WarnContext(ctx, "dead letters could not be stored; trying again", "error", err)
		if err := Pause(ctx, n); err != nil {
			return err
		}
	}
}

// slowTries is how often a batch may be too slow for a deadline before that is taken for its size.
const slowTries = 3

// try calls the handler, and again for as long as it says that something it needs is away. A deadline that passes again
// and again fails a batch, not a single event: its halves may be quick enough, and in an outage the first event waits.
func (d *Deliverer) try(ctx context.Context, events []event.Event) error {
	for n := 1; ; n++ {
		err := d.call(ctx, events)
		slow := len(events) > 1 && n >= slowTries && errors.Is(err, context.DeadlineExceeded)
		if slow || !unavailable(err) {
			return err
		}
		d.Log.WarnContext(ctx, "what the handler needs is unavailable; waiting for it",
			"queue", d.Queue.Name, "events", len(events), "error", err)
		if err := Pause(ctx, n); err != nil {
			return err
		}
	}
}

func (d *Deliverer) call(ctx context.Context, events []event.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.ErrorContext(ctx, "a handler panicked", "queue", d.Queue.Name, "panic", fmt.Sprint(p),
				"stack", string(debug.Stack()))
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return d.Handle(ctx, events)
}

func unavailable(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Kind == apierr.Unavailable
}

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	maxReason  = 1000
)

// Pause waits before try n+1: 100 ms doubled with each n up to 5 s, between half and all of that, so that replicas do
// not come in step. It fails only when ctx ends.
func Pause(ctx context.Context, n int) error {
	full := min(firstPause<<min(n-1, 10), maxPause)
	return clock.Sleep(ctx, full/2+rand.N(full/2))
}

// ShortReason makes a reason fit beside a dead letter: not too long, and text that a database takes.
func ShortReason(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason] + "..."
	}
	return strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
}
