package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const patience = 20 * time.Second

var at = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// bus is a publisher that can be away, or silent.
type bus struct {
	mu      sync.Mutex
	away    bool
	silent  chan struct{} // when not nil, Publish waits for it
	batches [][]event.Event
}

func (b *bus) Publish(ctx context.Context, events []event.Event) error {
	b.mu.Lock()
	silent := b.silent
	b.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return errors.New("no connection")
	}
	b.batches = append(b.batches, slices.Clone(events))
	return nil
}

func (b *bus) setAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *bus) subjects() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, batch := range b.batches {
		for _, e := range batch {
			all = append(all, e.Subject)
		}
	}
	return all
}

func (b *bus) await(t *testing.T, want []string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if got := b.subjects(); !slices.Equal(got, want) {
			return fmt.Errorf("%d events, want %d in order: %.200v", len(got), len(want), got)
		}
		return nil
	})
}

func record(r *telemetry.Recorder, from, to int) (subjects []string) {
	for i := from; i < to; i++ {
		subject := fmt.Sprint(i)
		r.Record("latchkey/test", subject, at, &eventsv1.LicenseValidated{LicenseId: subject})
		subjects = append(subjects, subject)
	}
	return subjects
}

// run runs r until stop, which waits for its end.
func run(t *testing.T, r *telemetry.Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func spilled(t *testing.T, d *db.DB) (events int) {
	t.Helper()
	if err := d.Read(t.Context()).Raw(`SELECT coalesce(sum(events), 0) FROM telemetry_spill`).
		Scan(&events).Error; err != nil {
		t.Fatal(err)
	}
	return events
}

func awaitSpilled(t *testing.T, d *db.DB, want int) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if got := spilled(t, d); got != want {
			return fmt.Errorf("%d events are spilled, want %d", got, want)
		}
		return nil
	})
}

// TestACommandEndsBeforeItHasLooked: whoever looks after dead letters is not told of a table that cannot be read.
func TestACommandEndsBeforeItHasLooked(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		var logs bytes.Buffer
		r := telemetry.New(telemetry.Config{Pub: &bus{}, DB: d, Log: slog.New(slog.NewTextHandler(&logs, nil))})
		ended, end := context.WithCancel(t.Context())
		end()
		if err := r.Run(ended); err != nil || logs.Len() > 0 {
			t.Errorf("%v, %s", err, logs.String())
		}
	})
}

// each runs test on both engines, and checks that no goroutine is left.
func each(t *testing.T, test func(t *testing.T, d *db.DB)) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		testkit.Eventually(t, patience, func() error { return goleak.Find(before) })
	})
	testkit.EachEngine(t, []db.Migrations{telemetry.Migrations}, test)
}

// eachInBubble runs test on both engines with a clock that stands still while anything is under way.
func eachInBubble(t *testing.T, test func(t *testing.T, d *db.DB)) {
	testkit.EachEngineInBubble(t, []db.Migrations{telemetry.Migrations}, test)
}

func TestRecordedEventsArePublished(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		b := &bus{}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t), MaxBatch: 50})
		run(t, r)
		b.await(t, record(r, 0, 230))
		b.mu.Lock()
		defer b.mu.Unlock()
		e := b.batches[0][0]
		if e.Type != "license.validated" || e.Source != "latchkey/test" || !e.Time.Equal(at) || e.Check() != nil {
			t.Errorf("got %+v", e)
		}
		for _, batch := range b.batches {
			if len(batch) > 8*50 {
				t.Errorf("a batch of %d", len(batch))
			}
		}
		if r.Dropped() != 0 {
			t.Errorf("%d dropped", r.Dropped())
		}
	})
}

func TestAnEventIsFlushedSoon(t *testing.T) {
	eachInBubble(t, func(t *testing.T, d *db.DB) {
		b := &bus{}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b})
		run(t, r)
		b.await(t, record(r, 0, 1)) // the table has been looked into
		begin := time.Now()
		record(r, 1, 2)
		b.await(t, []string{"0", "1"})
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAGracefulEndLosesNothing(t *testing.T) {
	for name, make := range map[string]func() *bus{
		"to the bus":        func() *bus { return &bus{} },
		"to the table":      func() *bus { return &bus{away: true} },
		"from a silent bus": func() *bus { return &bus{silent: make(chan struct{})} },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, d *db.DB) {
				b, heir := make(), &bus{}
				r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t)})
				stop := run(t, r)
				want := record(r, 0, 3000)
				stop()
				run(t, telemetry.New(telemetry.Config{DB: d, Pub: heir}))
				testkit.Eventually(t, patience, func() error {
					if got := len(b.subjects()) + len(heir.subjects()); got != len(want) {
						return fmt.Errorf("%d events, want %d", got, len(want))
					}
					return nil
				})
			})
		})
	}
}

func TestASilentBusHoldsNothingUp(t *testing.T) {
	const events = 16_000 // more than may wait and be under way
	eachInBubble(t, func(t *testing.T, d *db.DB) {
		b := &bus{}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t)})
		stop := run(t, r)
		b.await(t, record(r, 0, 1)) // the table has been looked into
		b.mu.Lock()
		b.silent = make(chan struct{})
		b.mu.Unlock()
		begin := time.Now()
		record(r, 1, events)
		if took := time.Since(begin); took > 0 {
			t.Errorf("recording waited %s for a silent bus", took)
		}
		testkit.Eventually(t, 8*time.Second, func() error { // sooner than a publish gives up
			if spilled(t, d) == 0 {
				return errors.New("what the bus does not take is not spilled")
			}
			return nil
		})
		close(b.silent)
		stop()
		if got := len(b.subjects()) + spilled(t, d); got != events || r.Dropped() != 0 {
			t.Errorf("%d of %d events are left, %d were dropped", got, events, r.Dropped())
		}
	})
}

func TestAFullBufferDropsAndCounts(t *testing.T) {
	var log bytes.Buffer
	r := telemetry.New(telemetry.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	record(r, 0, 16_384+10)
	if r.Dropped() != 10 {
		t.Errorf("%d dropped, want 10", r.Dropped())
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "than this process can encode") {
		t.Errorf("one line does not say why: %q", text)
	}
}

func TestWhatIsNoEventIsDropped(t *testing.T) {
	b := &bus{}
	r := telemetry.New(telemetry.Config{DB: testkit.SQLite(t, telemetry.Migrations), Pub: b})
	run(t, r)
	r.Record("latchkey/test", "", at, &eventsv1.LicenseValidated{Ip: "\xff"})
	b.await(t, record(r, 0, 1))
	if r.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", r.Dropped())
	}
}

func TestWithoutADatabaseTheBusIsEnough(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		b := &bus{}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t)})
		run(t, r)
		b.await(t, record(r, 0, 1))
		b.setAway(true)
		record(r, 1, 2)
		awaitSpilled(t, d, 1)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		b.setAway(false)
		record(r, 2, 100)
		testkit.Eventually(t, patience, func() error {
			if got := len(b.subjects()); got != 99 { // one is in the database
				return fmt.Errorf("%d events, want 99", got)
			}
			return nil
		})
	})
}

func BenchmarkRecord(b *testing.B) {
	msg := &eventsv1.LicenseValidated{LicenseId: "0197a3c1-0000-7000-8000-000000000001", HardwareId: "HW-1"}
	published := &counter{}
	r := telemetry.New(telemetry.Config{DB: testkit.SQLite(b, telemetry.Migrations), Pub: published})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Record("latchkey/license", msg.LicenseId, at, msg)
		if i%8000 == 7999 { // let the encoder follow: a dropped event costs nothing
			b.StopTimer()
			testkit.Eventually(b, patience, func() error {
				if int(published.Load()) < i {
					return errors.New("the encoder is behind")
				}
				return nil
			})
			b.StartTimer()
		}
	}
	cancel()
	<-done
	if r.Dropped() != 0 {
		b.Errorf("%d dropped", r.Dropped())
	}
}

type counter struct{ atomic.Int64 }

func (c *counter) Publish(_ context.Context, events []event.Event) error {
	c.Add(int64(len(events)))
	return nil
}
