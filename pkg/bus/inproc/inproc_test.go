package inproc_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func open(t *testing.T, d *db.DB, queues ...bus.Queue) *inproc.Bus {
	t.Helper()
	b, err := inproc.New(inproc.Config{DB: d, Queues: queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformanceOnSQLite(t *testing.T) {
	bustest.Run(t, func(t *testing.T, queues ...bus.Queue) bus.Bus {
		return open(t, testkit.SQLite(t, inproc.Migrations), queues...)
	})
}

func TestConformanceOnPostgres(t *testing.T) {
	bustest.Run(t, func(t *testing.T, queues ...bus.Queue) bus.Bus {
		return open(t, testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "test"}, inproc.Migrations),
			queues...)
	})
}

// What RabbitMQ need not do: here a confirm says that the consumer has committed, since nothing is stored on the way.
func TestPublishConfirmsAfterTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := bus.Queue{Name: "test.all", Types: []string{"#"}}
		b := open(t, testkit.SQLite(t, inproc.Migrations), q)
		t.Cleanup(func() { _ = b.Close() })
		release, begun := make(chan struct{}), make(chan struct{})
		bustest.Consume(t, b, q, func(context.Context, []event.Event) error {
			close(begun)
			<-release
			return nil
		})
		confirmed := make(chan error, 1)
		go func() { confirmed <- b.Publish(t.Context(), bustest.Activations(t, 1)) }()
		<-begun
		synctest.Wait() // until a confirmation that waits for nothing would be there
		select {
		case err := <-confirmed:
			t.Fatalf("confirmed before the commit: %v", err)
		default:
		}
		close(release)
		if err := <-confirmed; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnAbandonedEventIsNotDelivered(t *testing.T) {
	q := bus.Queue{Name: "test.all", Types: []string{"#"}}
	b, sink := open(t, testkit.SQLite(t, inproc.Migrations), q), &bustest.Sink{}
	t.Cleanup(func() { _ = b.Close() })
	events := bustest.Activations(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, events[:1]); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v without a consumer", err)
	}
	bustest.Consume(t, b, q, sink.Handle)
	bustest.Publish(t, b, events[1])()
	sink.Await(t, events[1:])
}

func TestNewWantsADatabaseAndNamedQueues(t *testing.T) {
	d := testkit.SQLite(t, inproc.Migrations)
	for name, cfg := range map[string]inproc.Config{
		"no database": {},
		"no name":     {DB: d, Queues: []bus.Queue{{Types: []string{"#"}}}},
		"no type":     {DB: d, Queues: []bus.Queue{{Name: "a"}}},
		"twice": {DB: d, Queues: []bus.Queue{{Name: "a", Types: []string{"#"}},
			{Name: "a", Types: []string{"#"}}}},
	} {
		if _, err := inproc.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
