package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func all() bus.Queue {
	return bus.Queue{Name: "test.all", Types: []string{"#"}, BatchSize: 10, MaxAttempts: 3, SingleActive: true}
}

func opened(t *testing.T, open Open, queues ...bus.Queue) bus.Bus {
	b := open(t, queues...)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func deliversInOrder(t *testing.T, open Open) {
	b, sink := opened(t, open, all()), &Sink{}
	Consume(t, b, all(), sink.Handle)
	events := Activations(t, 500)
	for part := range slices.Chunk(events, 130) {
		Publish(t, b, part...)()
	}
	sink.Await(t, events)
}

func routesByPattern(t *testing.T, open Open) {
	queues := map[string][]string{
		"test.every":  {"#"},
		"test.direct": {"license.*"},
		"test.deep":   {"license.#", "apikey.revoked"},
		"test.ends":   {"#.failed", "*.deactivated"},
		"test.none":   {"license"},
	}
	events := []event.Event{
		Event(t, &eventsv1.LicenseActivated{}, "a"),
		Event(t, &eventsv1.LicenseValidationFailed{}, "b"),
		Event(t, &eventsv1.DeviceDeactivated{}, "c"),
		Event(t, &eventsv1.ApiKeyRevoked{}, "d"),
	}
	var declared []bus.Queue
	for name, types := range queues {
		declared = append(declared, bus.Queue{Name: name, Types: types})
	}
	b, sinks := opened(t, open, declared...), map[string]*Sink{}
	for _, q := range declared {
		sinks[q.Name] = &Sink{}
		Consume(t, b, q, sinks[q.Name].Handle)
	}
	Publish(t, b, events...)()
	sinks["test.every"].Await(t, events)
	sinks["test.direct"].Await(t, events[:1])
	sinks["test.deep"].Await(t, []event.Event{events[0], events[1], events[3]})
	sinks["test.ends"].Await(t, events[1:3])
	sinks["test.none"].Await(t, nil)
}

func deliversBatches(t *testing.T, open Open) {
	b, sink := opened(t, open, all()), &Sink{}
	events := Activations(t, 100)
	wait := Publish(t, b, events...)
	Consume(t, b, all(), sink.Handle)
	wait()
	sink.Await(t, events)
	sizes := sink.Sizes()
	if largest := slices.Max(sizes); largest < 2 || largest > 10 {
		t.Errorf("batches of %v events, want up to 10", sizes)
	}
}

func deliversTelemetryInBulk(t *testing.T, open Open) {
	var events, validated, failed []event.Event
	for i := range 350 {
		validated = append(validated, Event(t, &eventsv1.LicenseValidated{LicenseId: fmt.Sprint(i)}, "v"))
		events = append(events, validated[i])
		if i%10 == 0 {
			failed = append(failed, Event(t, &eventsv1.LicenseValidationFailed{LicenseId: fmt.Sprint(i)}, "f"))
			events = append(events, failed[i/10])
		}
	}
	b, sink := opened(t, open, all()), &Sink{}
	Consume(t, b, all(), sink.Handle)
	Publish(t, b, events...)()
	testkit.Eventually(t, patience, func() error {
		got := map[string][]event.Event{}
		for _, e := range sink.Events() {
			got[e.Type] = append(got[e.Type], e)
		}
		return errors.Join(same(got["license.validated"], validated), same(got["license.validation.failed"], failed))
	})
}

func retriesInParts(t *testing.T, open Open) {
	events := Activations(t, 5)
	var failures atomic.Int32
	sink := &Sink{Fail: func(_ context.Context, batch []event.Event) error {
		if slices.ContainsFunc(batch, func(e event.Event) bool { return e.ID == events[2].ID }) && failures.Add(1) < 3 {
			return errors.New("not yet")
		}
		return nil
	}}
	b := opened(t, open, all())
	wait := Publish(t, b, events...)
	Consume(t, b, all(), sink.Handle)
	wait()
	sink.Await(t, events)
	DeadLetters(t, b, all().Name, 0)
}

func deadAndReplayed(t *testing.T, open Open) {
	events := Activations(t, 5)
	var broken atomic.Bool
	broken.Store(true)
	var alone atomic.Int32
	sink := &Sink{Fail: func(_ context.Context, batch []event.Event) error {
		if !broken.Load() || !slices.ContainsFunc(batch, func(e event.Event) bool { return e.ID == events[2].ID }) {
			return nil
		}
		if len(batch) == 1 {
			alone.Add(1)
		}
		return errors.New("no such license")
	}}
	b := opened(t, open, all())
	wait := Publish(t, b, events...)
	Consume(t, b, all(), sink.Handle)
	wait()
	sink.Await(t, slices.Delete(slices.Clone(events), 2, 3))
	deadLetter := DeadLetters(t, b, all().Name, 1)[0]
	if err := same([]event.Event{deadLetter.Event}, events[2:3]); err != nil {
		t.Error(err)
	}
	if deadLetter.Reason != "no such license" || deadLetter.Attempts != 3 || alone.Load() != 3 ||
		time.Since(deadLetter.DiedAt) > time.Hour {
		t.Errorf("got %+v after %d attempts", deadLetter, alone.Load())
	}
	if made := b.DeadLetters(all().Name).Made(); made != 1 {
		t.Errorf("%d dead letters were made, want 1", made)
	}
	broken.Store(false)
	replay(t, b, 1)
	sink.Await(t, append(slices.Delete(slices.Clone(events), 2, 3), events[2]))
	DeadLetters(t, b, all().Name, 0)
}

func replay(t *testing.T, b bus.Bus, want int, ids ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if n, err := b.DeadLetters(all().Name).Replay(ctx, ids...); err != nil || n != want {
		t.Fatalf("replayed %d: %v, want %d", n, err, want)
	}
}

// rejectsSome: what a handler rejects becomes dead letters, and the rest of the batch is not delivered again.
func rejectsSome(t *testing.T, open Open) {
	bad := map[string]bool{}
	var delivered atomic.Int32
	b := opened(t, open, all())
	events := Activations(t, 10)
	bad[events[2].ID], bad[events[7].ID] = true, true
	wait := Publish(t, b, events...)
	Consume(t, b, all(), func(_ context.Context, batch []event.Event) error {
		delivered.Add(int32(len(batch)))
		rejected := bus.Rejected{}
		for i, e := range batch {
			if bad[e.ID] {
				rejected[i] = errors.New("never")
			}
		}
		return rejected.OrNil()
	})
	wait()
	for i, deadLetter := range DeadLetters(t, b, all().Name, 2) {
		if deadLetter.Event.ID != events[[]int{2, 7}[i]].ID || deadLetter.Attempts != 1 ||
			deadLetter.Reason != "never" {
			t.Errorf("got %+v", deadLetter)
		}
	}
	if n := delivered.Load(); n != 10 {
		t.Errorf("10 events were delivered %d times", n)
	}
	if n, err := b.DeadLetters(all().Name).Count(t.Context()); n != 2 || err != nil {
		t.Errorf("counted %d dead letters: %v", n, err)
	}
}

// dropsDeadLetters: those named go and the others stay, in their order; then all go.
func dropsDeadLetters(t *testing.T, open Open) {
	b := opened(t, open, all())
	wait := Publish(t, b, Activations(t, 4)...)
	Consume(t, b, all(), func(_ context.Context, batch []event.Event) error {
		rejected := bus.Rejected{}
		for i := range batch {
			rejected[i] = errors.New("never")
		}
		return rejected.OrNil()
	})
	wait()
	deadLetters := DeadLetters(t, b, all().Name, 4)
	drop := func(want int, ids ...string) {
		t.Helper()
		if n, err := b.DeadLetters(all().Name).Drop(t.Context(), ids...); err != nil || n != want {
			t.Fatalf("dropped %d: %v, want %d", n, err, want)
		}
	}
	drop(2, deadLetters[0].ID, deadLetters[2].ID, "unknown")
	left := DeadLetters(t, b, all().Name, 2)
	if left[0].ID != deadLetters[1].ID || left[1].ID != deadLetters[3].ID {
		t.Errorf("%s and %s are left, want %s and %s", left[0].ID, left[1].ID, deadLetters[1].ID, deadLetters[3].ID)
	}
	drop(2)
	DeadLetters(t, b, all().Name, 0)
}

// boundsDeadLetters: a flood of bad events leaves the newest of them only.
func boundsDeadLetters(t *testing.T, open Open) {
	const most, total = 5, 40
	text := strings.Repeat("x", 1000)
	for name, bound := range map[string]func(*bus.Queue){
		"number": func(q *bus.Queue) { q.MaxDeadLetters = most },
		"bytes":  func(q *bus.Queue) { q.MaxDeadLetterBytes = (most + 1) * 1000 },
	} {
		q := all()
		bound(&q)
		b := opened(t, open, q)
		Consume(t, b, q, func(_ context.Context, batch []event.Event) error {
			rejected := bus.Rejected{}
			for i := range batch {
				rejected[i] = errors.New("bad")
			}
			return rejected
		})
		var last event.Event
		for range total {
			last = Event(t, &eventsv1.LicenseActivated{DeviceName: text}, "large")
			Publish(t, b, last)()
		}
		testkit.Eventually(t, patience, func() error {
			dead, err := b.DeadLetters(q.Name).List(t.Context(), total)
			if err != nil || len(dead) == 0 || len(dead) > most || dead[len(dead)-1].Event.ID != last.ID {
				return fmt.Errorf("bound by %s: %d dead letters, the newest %v, %v", name, len(dead), last.ID, err)
			}
			return nil
		})
		if made := b.DeadLetters(q.Name).Made(); made != total {
			t.Errorf("bound by %s: %d dead letters were made, want %d", name, made, total)
		}
	}
}

func deadAfterPanic(t *testing.T, open Open) {
	sink := &Sink{Fail: func(_ context.Context, batch []event.Event) error {
		if batch[0].Subject == "0" {
			panic("out of range")
		}
		return nil
	}}
	b := opened(t, open, all())
	Consume(t, b, all(), sink.Handle)
	events := Activations(t, 2)
	Publish(t, b, events...)()
	sink.Await(t, events[1:])
	if deadLetter := DeadLetters(t, b, all().Name, 1)[0]; deadLetter.Reason != "the handler panicked: out of range" {
		t.Errorf("got %+v", deadLetter)
	}
}

func waitsForAway(t *testing.T, open Open) {
	var calls atomic.Int32
	sink := &Sink{Fail: func(context.Context, []event.Event) error {
		if calls.Add(1) < 5 {
			return fmt.Errorf("commit: %w", apierr.ErrUnavailable)
		}
		return nil
	}}
	b := opened(t, open, all())
	Consume(t, b, all(), sink.Handle)
	events := Activations(t, 1)
	Publish(t, b, events...)()
	sink.Await(t, events)
	DeadLetters(t, b, all().Name, 0)
}

func listsInPlace(t *testing.T, open Open) {
	b, events := deadLettered(t, open, 4)
	for range 3 {
		deadLetters := DeadLetters(t, b, all().Name, 4)
		var got []event.Event
		for _, l := range deadLetters {
			got = append(got, l.Event)
		}
		if err := same(got, events); err != nil {
			t.Fatal(err)
		}
	}
	deadLetters, err := b.DeadLetters(all().Name).List(t.Context(), 2)
	if err != nil || len(deadLetters) != 2 || deadLetters[0].Event.ID != events[0].ID {
		t.Errorf("a short list is %v: %v", deadLetters, err)
	}
}

func replaysChosen(t *testing.T, open Open) {
	b, events := deadLettered(t, open, 4)
	deadLetters := DeadLetters(t, b, all().Name, 4)
	sink := &Sink{}
	Consume(t, b, all(), sink.Handle)
	replay(t, b, 2, deadLetters[1].ID, deadLetters[2].ID, "no such dead letter")
	sink.Await(t, events[1:3])
	left := DeadLetters(t, b, all().Name, 2)
	if left[0].ID != deadLetters[0].ID || left[1].ID != deadLetters[3].ID {
		t.Errorf("left are %v", left)
	}
}

// deadLettered returns a bus whose queue has n dead letters and no consumer.
func deadLettered(t *testing.T, open Open, n int) (bus.Bus, []event.Event) {
	b, events := opened(t, open, all()), Activations(t, n)
	stop := Consume(t, b, all(), func(_ context.Context, batch []event.Event) error {
		rejected := bus.Rejected{}
		for i := range batch {
			rejected[i] = errors.New("dead")
		}
		return rejected
	})
	Publish(t, b, events...)()
	DeadLetters(t, b, all().Name, n)
	stop()
	return b, events
}
