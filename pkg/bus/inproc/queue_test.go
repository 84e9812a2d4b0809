package inproc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestNothingIsKeptOfWhatWasGivenUp: neither in the queue that a publisher waited for nor in the others, and not what a
// consumer that ended had taken either.
func TestNothingIsKeptOfWhatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queues := []bus.Queue{
			{Name: "test.a", Types: []string{"#"}}, {Name: "test.b", Types: []string{"#"}},
			{Name: "test.taken", Types: []string{"#"}},
		}
		b, err := New(Config{DB: testkit.SQLite(t, Migrations), Queues: queues, Log: testkit.Log(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		stop := bustest.Consume(t, b, queues[2], func(ctx context.Context, _ []event.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := b.Publish(ctx, bustest.Activations(t, 2)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v without a consumer", err)
			}
			cancel()
		}
		stop()
		for name, q := range b.queues {
			if len(q.waiting) > 0 {
				t.Errorf("%d events are kept in %s", len(q.waiting), name)
			}
		}
	})
}
