package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func deliversAgain(t *testing.T, open Open) {
	b, events := opened(t, open, all()), Activations(t, 3)
	begun := make(chan struct{}, 100)
	stop := Consume(t, b, all(), func(ctx context.Context, _ []event.Event) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	wait := Publish(t, b, events...)
	<-begun
	stop()
	sink := &Sink{}
	Consume(t, b, all(), sink.Handle)
	wait()
	sink.Await(t, events)
	DeadLetters(t, b, all().Name, 0)
}

func singleActive(t *testing.T, open Open) {
	b, first, second := opened(t, open, all()), &Sink{}, &Sink{}
	stop := Consume(t, b, all(), first.Handle)
	events := Activations(t, 60)
	Publish(t, b, events[:1]...)()
	first.Await(t, events[:1])
	Consume(t, b, all(), second.Handle)
	for part := range slices.Chunk(events[1:30], 3) {
		Publish(t, b, part...)()
	}
	first.Await(t, events[:30])
	if n := len(second.Events()); n != 0 {
		t.Errorf("the consumer that stands by got %d events", n)
	}
	stop()
	Publish(t, b, events[30:]...)()
	second.Await(t, events[30:])
}

func showsToWatches(t *testing.T, open Open) {
	b := opened(t, open, bus.Queue{Name: "test.unrelated", Types: []string{"device.#"}})
	var seen [2]Seen
	for i := range seen {
		seen[i].Link = bus.NewLink()
		Watch(t, b, seen[i].Watch("license.*", "apikey.revoked"))
	}
	for i := range seen {
		seen[i].AwaitAlive(t)
	}
	revoked, other := Event(t, &eventsv1.ApiKeyRevoked{ApiKeyId: "k"}, "k"), Event(t, &eventsv1.AuditRecorded{}, "x")
	Publish(t, b, other, revoked)()
	for i := range seen {
		testkit.Eventually(t, patience, func() error { return same(seen[i].Events(), []event.Event{revoked}) })
	}
}

func vouches(t *testing.T, open Open) {
	b, seen := opened(t, open, all()), &Seen{Link: bus.NewLink()}
	auth, license := seen.Link.From("auth"), seen.Link.From("license")
	Watch(t, b, seen.Watch("license.*"))
	var taken atomic.Bool
	background(t, func(ctx context.Context) error {
		return b.Vouch(ctx, "auth", func(context.Context) bool { return taken.Load() })
	})
	seen.AwaitAlive(t)
	if auth.Prompt() {
		t.Error("what is not taken counts as taken")
	}
	for _, want := range []bool{true, false} {
		taken.Store(want)
		testkit.Eventually(t, patience, func() error {
			if auth.Prompt() != want {
				return fmt.Errorf("the source is prompt: %v", !want)
			}
			return nil
		})
		if license.Prompt() || !auth.Alive() {
			t.Error("signs of one source say something of others, or of the link")
		}
	}
}

// Seen is what a watch was shown.
type Seen struct {
	Link *bus.Link
	gaps atomic.Int32
	mu   sync.Mutex
	got  []event.Event
}

// Watch is a watch that fills s.
func (s *Seen) Watch(types ...string) bus.Watch {
	return bus.Watch{Types: types, Link: s.Link, OnGap: func() { s.gaps.Add(1) }, OnEvent: func(e event.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, e)
	}}
}

// Events are those shown so far.
func (s *Seen) Events() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Gaps is how often OnGap was called.
func (s *Seen) Gaps() int { return int(s.gaps.Load()) }

// AwaitAlive waits for the link, which must have been preceded by a gap.
func (s *Seen) AwaitAlive(t testing.TB) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if !s.Link.Alive() {
			return errors.New("the link is not alive")
		}
		return nil
	})
	if s.Gaps() == 0 {
		t.Error("the link is alive and OnGap was never called")
	}
}

func endsWithContext(t *testing.T, open Open) {
	b, link := opened(t, open, all()), bus.NewLink()
	ctx, cancel := context.WithCancel(t.Context())
	ends := make(chan error, 3)
	go func() { ends <- b.Consume(ctx, all(), (&Sink{}).Handle) }()
	seen := &Seen{Link: link}
	go func() { ends <- b.Watch(ctx, seen.Watch("#")) }()
	go func() { ends <- b.Vouch(ctx, "test", func(context.Context) bool { return true }) }()
	seen.AwaitAlive(t)
	cancel()
	for range 3 {
		if err := <-ends; err != nil {
			t.Errorf("ended with %v, want nil", err)
		}
	}
	if link.Alive() {
		t.Error("the link outlives its watch")
	}
}

func endsWithClose(t *testing.T, open Open) {
	b, seen := opened(t, open, all()), &Seen{Link: bus.NewLink()}
	if s := b.State(); !s.Connected || s.Blocked || s.Detail != "" {
		t.Errorf("the state is %+v", s)
	}
	ends := make(chan error, 3)
	go func() { ends <- b.Consume(t.Context(), all(), (&Sink{}).Handle) }()
	go func() { ends <- b.Watch(t.Context(), seen.Watch("#")) }()
	go func() { ends <- b.Vouch(t.Context(), "test", func(context.Context) bool { return true }) }()
	seen.AwaitAlive(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-ends; !errors.Is(err, bus.ErrClosed) {
			t.Errorf("ended with %v, want ErrClosed", err)
		}
	}
	if err := b.Publish(t.Context(), Activations(t, 1)); err == nil {
		t.Error("a closed bus confirmed an event")
	}
	if b.State().Connected {
		t.Error("a closed bus says that it is connected")
	}
}

func refusesStrangers(t *testing.T, open Open) {
	b := opened(t, open, all())
	if err := b.Consume(t.Context(), bus.Queue{
		Name:  "test.stranger",
		Types: []string{"#"},
	}, (&Sink{}).Handle); err == nil {
		t.Error("consumed a queue that nobody declared")
	}
	if _, err := b.DeadLetters("test.stranger").List(t.Context(), 1); err == nil {
		t.Error("listed the dead letters of a queue that nobody declared")
	}
	if err := b.Publish(t.Context(), []event.Event{{Type: "license.activated"}}); err == nil {
		t.Error("published an event without an id")
	}
}
