// Package bustest is the conformance suite of package bus: what every implementation must do.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// Open makes a fresh bus with the queues on a broker (or a database) of its own. The suite closes it.
type Open func(t *testing.T, queues ...bus.Queue) bus.Bus

// Run runs the whole suite, each test on its own bus, and checks that none leaves a goroutine behind.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"delivers in order", deliversInOrder},
		{"routes by pattern", routesByPattern},
		{"delivers batches", deliversBatches},
		{"delivers telemetry in bulk", deliversTelemetryInBulk},
		{"retries a failed batch in parts", retriesInParts},
		{"makes a dead letter after the last attempt and replays it", deadAndReplayed},
		{"drops dead letters", dropsDeadLetters},
		{"makes dead letters of rejected events alone", rejectsSome},
		{"takes a panic for a failure", deadAfterPanic},
		{"bounds dead letters", boundsDeadLetters},
		{"waits for what is away", waitsForAway},
		{"lists dead letters in place", listsInPlace},
		{"replays chosen dead letters", replaysChosen},
		{"delivers again what a consumer left", deliversAgain},
		{"lets a single consumer work", singleActive},
		{"shows events to every watch", showsToWatches},
		{"tells watches whose events are taken", vouches},
		{"ends with its context", endsWithContext},
		{"ends with Close", endsWithClose},
		{"refuses strangers", refusesStrangers},
	} {
		t.Run(test.name, func(t *testing.T) {
			VerifyNoLeak(t)
			test.run(t, open)
		})
	}
}

// VerifyNoLeak fails the test when, after all its later cleanups, goroutines are left that were not there before.
func VerifyNoLeak(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		// goleak itself waits half a second for what is about to end: not enough on a busy computer.
		testkit.Eventually(t, patience, func() error {
			return goleak.Find(before,
				// Idle connections of the client that tests manage brokers with.
				goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
				goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
		})
	})
}

// Event makes an event of msg about subject.
func Event(t testing.TB, msg proto.Message, subject string) event.Event {
	t.Helper()
	e, err := event.New("latchkey/test", subject, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), msg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Activations makes n events license.activated with the subjects 0 to n-1.
func Activations(t testing.TB, n int) []event.Event {
	t.Helper()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = Event(t, &eventsv1.LicenseActivated{HardwareId: fmt.Sprint("device ", i)}, fmt.Sprint(i))
	}
	return events
}

// Publish publishes in the background, since the in-process bus waits for consumers, until it succeeds or the test
// ends. The function it returns waits for that.
func Publish(t testing.TB, b bus.Bus, events ...event.Event) (wait func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	done := make(chan error, 1)
	go func() { done <- b.Publish(ctx, events) }()
	t.Cleanup(cancel)
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
}

// Consume consumes in the background until stop or the end of the test; stop waits for the end of Consume.
func Consume(t testing.TB, b bus.Bus, q bus.Queue, h bus.Handler) (stop func()) {
	t.Helper()
	return background(t, func(ctx context.Context) error { return b.Consume(ctx, q, h) })
}

// Watch watches in the background likewise.
func Watch(t testing.TB, b bus.Bus, w bus.Watch) (stop func()) {
	t.Helper()
	return background(t, func(ctx context.Context) error { return b.Watch(ctx, w) })
}

func background(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && !errors.Is(err, bus.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// Sink is a handler that keeps what it has committed.
type Sink struct {
	// Fail, when not nil, is asked before each commit.
	Fail func(ctx context.Context, events []event.Event) error

	mu      sync.Mutex
	batches [][]event.Event
}

// Handle implements bus.Handler.
func (s *Sink) Handle(ctx context.Context, events []event.Event) error {
	if s.Fail != nil {
		if err := s.Fail(ctx, events); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, append([]event.Event(nil), events...))
	return nil
}

// Events are those committed, in order.
func (s *Sink) Events() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []event.Event
	for _, b := range s.batches {
		all = append(all, b...)
	}
	return all
}

// Sizes are those of the committed batches.
func (s *Sink) Sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sizes []int
	for _, b := range s.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

// Await waits until exactly the wanted events are committed, in their order.
func (s *Sink) Await(t testing.TB, want []event.Event) {
	t.Helper()
	testkit.Eventually(t, patience, func() error { return same(s.Events(), want) })
}

// AwaitAgain is Await after the link was lost, maybe with the acknowledgment of what was committed just before: events
// that come again are overlooked.
func (s *Sink) AwaitAgain(t testing.TB, want []event.Event) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		seen := map[string]bool{}
		first := slices.DeleteFunc(s.Events(), func(e event.Event) bool {
			again := seen[e.ID]
			seen[e.ID] = true
			return again
		})
		return same(first, want)
	})
}

func same(got, want []event.Event) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].ID != want[i].ID || got[i].Type != want[i].Type || string(got[i].Data) != string(want[i].Data) ||
			!got[i].Time.Equal(want[i].Time) {
			return fmt.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	return nil
}

// DeadLetters waits until the queue has n dead letters, and returns them.
func DeadLetters(t testing.TB, b bus.Bus, queue string, n int) []bus.DeadLetter {
	t.Helper()
	var letters []bus.DeadLetter
	testkit.Eventually(t, patience, func() (err error) {
		if letters, err = b.DeadLetters(queue).List(t.Context(), 1000); err == nil && len(letters) != n {
			err = fmt.Errorf("%d dead letters, want %d", len(letters), n)
		}
		return err
	})
	return letters
}
