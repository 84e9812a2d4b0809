package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

var (
	errRefused = errors.New("refused")
	noon       = time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC)
)

func eachEngine(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	testkit.EachEngine(t, []db.Migrations{Migrations}, test)
}

// publisher remembers what it was given, and calls before for each batch.
type publisher struct {
	before func(ctx context.Context, events []event.Event) error
	mu     sync.Mutex
	events []event.Event
}

func (p *publisher) Publish(ctx context.Context, events []event.Event) error {
	if p.before != nil {
		if err := p.before(ctx, events); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, events...)
	return nil
}

// ids are the ids published so far, in order.
func (p *publisher) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return idsOf(p.events)
}

func idsOf(events []event.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// add writes n events about subject, a second apart from noon on, and returns their ids.
func add(t *testing.T, d *db.DB, o *Outbox, subject string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	patient, cancel := context.WithTimeout(t.Context(), time.Minute) // thousands of rows, under the race detector
	defer cancel()
	err := d.Tx(patient, func(ctx context.Context, tx *gorm.DB) error {
		for i := range ids {
			e, err := o.Add(ctx, tx, subject, noon.Add(time.Duration(i)*time.Second),
				&eventsv1.LicenseActivated{LicenseId: subject})
			if err != nil {
				return err
			}
			ids[i] = e.ID
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// relay runs a relay until the test ends or stop is called.
func relay(t *testing.T, o *Outbox, pub bus.Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended := testkit.Log(t), make(chan error, 1)
	go func() { ended <- o.Relay(ctx, pub, log) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func awaitSent(t *testing.T, o *Outbox) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, func() error {
		n, err := o.Pending(t.Context())
		if n > 0 {
			err = fmt.Errorf("%d events unsent", n)
		}
		return err
	})
}

func TestEventsArriveAsTheyWereWritten(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "latchkey/license"), &publisher{}
		var want []event.Event
		err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
			e, err := o.Add(ctx, tx, "lic-1", noon,
				&eventsv1.LicenseActivated{LicenseId: "lic-1", DeviceName: `Zoë's "PC" \u0000 🦆`})
			want = append(want, e)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		relay(t, o, pub)
		awaitSent(t, o)
		if diff := cmp.Diff(want, pub.events); diff != "" {
			t.Fatal(diff)
		}
		if e := pub.events[0]; e.Type != "license.activated" || e.Source != "latchkey/license" ||
			e.Time.Location() != time.UTC {
			t.Errorf("%+v", e)
		}
	})
}

func TestAnEventSharesTheFateOfItsTransaction(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		write := func(result error) {
			err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
				_, err := o.Add(ctx, tx, "lic-1", noon, &eventsv1.LicenseActivated{})
				if len(o.wake) != 0 {
					t.Error("woken before the commit")
				}
				return errors.Join(err, result)
			})
			if !errors.Is(err, result) {
				t.Fatal(err)
			}
		}
		write(errRefused)
		if n, err := o.Pending(t.Context()); n != 0 || err != nil || len(o.wake) != 0 {
			t.Fatalf("%d pending, %d wakes, %v; want 0", n, len(o.wake), err)
		}
		write(nil)
		if n, err := o.Pending(t.Context()); n != 1 || err != nil || len(o.wake) != 1 {
			t.Fatalf("%d pending, %d wakes, %v; want 1", n, len(o.wake), err)
		}
	})
}

func TestAddRefusesWhatTheBusWouldRefuse(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
			_, err := o.Add(ctx, tx, "not UTF-8: \xff", noon, &eventsv1.LicenseActivated{})
			return err
		})
		if n, _ := o.Pending(t.Context()); err == nil || n != 0 {
			t.Fatalf("error %v, %d pending", err, n)
		}
	})
}

func TestTwoRelaysRace(t *testing.T) {
	const rows = 3 * batchSize
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		pub.before = func(_ context.Context, events []event.Event) error {
			if len(events) > batchSize {
				t.Errorf("a batch of %d", len(events))
			}
			return nil
		}
		want := add(t, d, o, "lic", rows)
		relay(t, New(d, "test"), pub)
		relay(t, o, pub)
		awaitSent(t, o)
		seen := map[string]int{}
		for _, id := range pub.ids() {
			seen[id]++
		}
		for _, id := range want {
			if seen[id] == 0 {
				t.Fatalf("event %s was not published", id)
			}
		}
		if d.Engine() == db.Postgres && len(pub.ids()) != rows {
			t.Errorf("%d events published for %d: relays claim what another has", len(pub.ids()), rows)
		}
	})
}

func TestASlowRelayHoldsUpNoOther(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "s"}, Migrations)
	taken := make(chan struct{})
	slow := &publisher{before: func(ctx context.Context, _ []event.Event) error {
		close(taken)
		<-ctx.Done()
		return ctx.Err()
	}}
	quick := &publisher{}
	o := New(d, "test")
	all := add(t, d, o, "lic", batchSize+1)
	stop := relay(t, o, slow)
	<-taken
	relay(t, New(d, "test"), quick)
	testkit.Eventually(t, publishTimeout/2, func() error { return missing(quick.ids(), all[batchSize:]) })
	stop()
	testkit.Eventually(t, 10*time.Second, func() error { return missing(quick.ids(), all) })
}

// missing tells which of want are not in got.
func missing(got, want []string) error {
	for _, id := range want {
		if !slices.Contains(got, id) {
			return fmt.Errorf("event %s was not published", id)
		}
	}
	return nil
}

func TestOneRelayKeepsTheOrder(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		want := add(t, d, o, "lic", 2*batchSize+1)
		relay(t, o, pub)
		awaitSent(t, o)
		if diff := cmp.Diff(want, pub.ids()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestWhatTheBusDoesNotConfirmIsSentAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		away := make(chan struct{})
		var tries atomic.Int32
		pub.before = func(ctx context.Context, _ []event.Event) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > publishTimeout {
				t.Error("the broker may hang forever")
			}
			tries.Add(1)
			select {
			case <-away:
				return nil
			default:
				return errRefused
			}
		}
		want := add(t, d, o, "lic", 3)
		relay(t, o, pub)
		testkit.Eventually(t, 30*time.Second, func() error {
			if n := tries.Load(); n < 2 {
				return fmt.Errorf("%d tries", n)
			}
			return nil
		})
		if n, err := o.PendingUpTo(t.Context(), 2); n != 2 || err != nil {
			t.Errorf("%d of up to 2 are pending: %v", n, err)
		}
		if n, err := o.Pending(t.Context()); n != 3 || err != nil {
			t.Fatalf("%d unsent while the bus is away, want 3 (%v)", n, err)
		}
		close(away)
		awaitSent(t, o)
		if diff := cmp.Diff(want, pub.ids()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A transaction that got the lower number commits last; a relay that remembers how far it was would never see its row.
func TestARowThatCommitsLateIsNotLost(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "s"}, Migrations)
	o, pub := New(d, "test"), &publisher{}
	relay(t, o, pub)
	var early event.Event
	err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) (err error) {
		early, err = o.Add(ctx, tx, "early", noon, &eventsv1.LicenseActivated{})
		late := add(t, d, o, "late", 1) // its own transaction: it commits now
		testkit.Eventually(t, 30*time.Second, func() error {
			if diff := cmp.Diff(late, pub.ids()); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitSent(t, o)
	if ids := pub.ids(); len(ids) != 2 || ids[1] != early.ID {
		t.Fatalf("published %v, want %s at last", ids, early.ID)
	}
}

// In one process, confirming may take a consumer that writes to the very database of the relay.
func TestPublishingHoldsUpNoWriter(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		answers := New(d, "consumer")
		var once sync.Once
		pub.before = func(ctx context.Context, _ []event.Event) (err error) {
			once.Do(func() {
				err = d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					_, err := answers.Add(ctx, tx, "answer", noon, &eventsv1.LicenseActivated{})
					return err
				})
				err = errors.Join(err, errRefused) // its own transaction: this must not undo it
			})
			return err
		}
		add(t, d, o, "lic", 1)
		relay(t, o, pub)
		testkit.Eventually(t, 30*time.Second, func() error {
			if n := len(pub.ids()); n != 2 {
				return fmt.Errorf("%d published, want 2", n)
			}
			return nil
		})
	})
}

// A command has its events published before it ends, and leaves to a relay what the bus does not take.
func TestFlush(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "latchkey/test"), &publisher{before: func(context.Context, []event.Event) error {
			return errRefused
		}}
		ids := add(t, d, o, "subject", 3)
		if err := o.Flush(t.Context(), pub); !errors.Is(err, errRefused) || len(pub.ids()) > 0 {
			t.Errorf("the bus refuses: %v", err)
		}
		pub.before = nil
		for range 2 { // the second time there is nothing
			if err := o.Flush(t.Context(), pub); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(ids, pub.ids()); diff != "" {
			t.Errorf("published (-want +got): %s", diff)
		}
	})
}

func TestRelayEndsWithItsContext(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, hanging := New(d, "test"), make(chan struct{})
		pub := &publisher{before: func(ctx context.Context, _ []event.Event) error {
			close(hanging)
			<-ctx.Done()
			return ctx.Err()
		}}
		add(t, d, o, "lic", 1)
		stop := relay(t, o, pub)
		<-hanging
		stop()
		if n, err := o.Pending(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d unsent, want 1 (%v)", n, err)
		}
	})
}
