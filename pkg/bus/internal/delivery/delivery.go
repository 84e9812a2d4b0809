// Package delivery hands events to a handler with the patience that package bus promises. Both implementations use it,
// so that failures are treated alike on RabbitMQ of every version and in process.
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
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Bury stores an event as a dead letter; it is called again until it returns nil.
type Bury func(ctx context.Context, e event.Event, reason string, attempts int) error

// Hand hands events over to a handler. It is safe for use by one consumer at a time.
type Hand struct {
	Queue  bus.Queue
	Handle bus.Handler
	Bury   Bury
	Log    *slog.Logger
}

// Over returns nil when every event is committed or buried. It fails only when ctx ends, and then any of them may be
// handed over again.
func (h *Hand) Over(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	if len(events) > 1 {
		err := h.try(ctx, events)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.Log.WarnContext(ctx, "a batch failed; its events are tried one by one", "queue", h.Queue.Name, "events", len(events), "error", err)
	}
	for i := range events {
		if err := h.single(ctx, events[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hand) single(ctx context.Context, one []event.Event) error {
	for attempt := 1; ; attempt++ {
		err := h.try(ctx, one)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.Log.WarnContext(ctx, "an event failed", "queue", h.Queue.Name, "event_id", one[0].ID, "type", one[0].Type, "attempt", attempt, "error", err)
		if attempt >= h.Queue.MaxAttempts || bus.IsPermanent(err) {
			return h.bury(ctx, one[0], err.Error(), attempt)
		}
		if err := Pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (h *Hand) bury(ctx context.Context, e event.Event, reason string, attempts int) error {
	for n := 1; ; n++ {
		err := h.Bury(ctx, e, ShortReason(reason), attempts)
		if err == nil {
			h.Log.ErrorContext(ctx, "an event is now a dead letter", "queue", h.Queue.Name, "event_id", e.ID, "type", e.Type, "attempts", attempts)
			return nil
		}
		h.Log.WarnContext(ctx, "a dead letter could not be stored; trying again", "queue", h.Queue.Name, "event_id", e.ID, "error", err)
		if err := Pause(ctx, n); err != nil {
			return err
		}
	}
}

// try calls the handler, and again for as long as it says that something it needs is away.
func (h *Hand) try(ctx context.Context, events []event.Event) error {
	for n := 1; ; n++ {
		err := h.call(ctx, events)
		if !unavailable(err) {
			return err
		}
		h.Log.WarnContext(ctx, "what the handler needs is away; waiting for it", "queue", h.Queue.Name, "events", len(events), "error", err)
		if err := Pause(ctx, n); err != nil {
			return err
		}
	}
}

func (h *Hand) call(ctx context.Context, events []event.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.ErrorContext(ctx, "a handler panicked", "queue", h.Queue.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return h.Handle(ctx, events)
}

func unavailable(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Kind == apierr.Unavailable && !bus.IsPermanent(err)
}

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	maxReason  = 1000
)

// Pause waits before try n+1: 100 ms doubled with each n up to 5 s, between half and all of that, so that replicas do not
// come in step. It fails only when ctx ends.
func Pause(ctx context.Context, n int) error {
	full := min(firstPause<<min(n-1, 10), maxPause)
	timer := time.NewTimer(full/2 + rand.N(full/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// ShortReason makes a reason fit beside a dead letter: not too long, and text that a database takes.
func ShortReason(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason] + "..."
	}
	return strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
}
