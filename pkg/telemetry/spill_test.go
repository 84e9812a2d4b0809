package telemetry_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestSpilledEventsFollowTheChangesOfState(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		b := &bus{away: true}
		var backlog, asked atomic.Int32
		backlog.Store(3)
		r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t),
			Backlog: func(context.Context, int) (int, error) {
				asked.Add(1)
				return int(backlog.Load()), nil
			}})
		run(t, r)
		want := record(r, 0, 700)
		awaitSpilled(t, d, 700)
		b.setAway(false)
		want = append(want, record(r, 700, 800)...)
		awaitSpilled(t, d, 800)
		asked.Store(0)
		testkit.Eventually(t, patience, func() error {
			if asked.Load() < 5 {
				return errors.New("nobody looks whether changes of state wait")
			}
			return nil
		})
		if got := b.subjects(); len(got) != 0 {
			t.Fatalf("%d events overtook the changes of state", len(got))
		}
		backlog.Store(0)
		b.await(t, want)
		awaitSpilled(t, d, 0)
		want = append(want, record(r, 800, 801)...)
		b.await(t, want)
		if r.Dropped() != 0 {
			t.Errorf("%d dropped", r.Dropped())
		}
	})
}

func TestBeyondTheCapEventsAreDroppedAndCounted(t *testing.T) {
	eachInBubble(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{DB: d, Pub: &bus{away: true}, Log: testkit.Log(t), MaxBatch: 100, Cap: 250})
		stop := run(t, r)
		record(r, 0, 500)
		stop()
		if stored, dropped := spilled(t, d), r.Dropped(); stored != 200 || dropped != 300 {
			t.Errorf("%d stored and %d dropped, want 200 and 300", stored, dropped)
		}
	})
}

func TestTheCapCountsBytesToo(t *testing.T) {
	const most = 64 << 10
	eachInBubble(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{
			DB:       d,
			Pub:      &bus{away: true},
			Log:      testkit.Log(t),
			MaxBatch: 100,
			CapBytes: most,
		})
		stop := run(t, r)
		record(r, 0, 500)
		stop()
		var bytes int
		if err := d.Read(t.Context()).Raw(`SELECT sum(length(payload)) FROM telemetry_spill`).
			Scan(&bytes).Error; err != nil {
			t.Fatal(err)
		}
		stored := spilled(t, d)
		if bytes > most || stored == 0 || stored+int(r.Dropped()) != 500 || r.Dropped() == 0 {
			t.Errorf("%d stored in %d bytes and %d dropped", stored, bytes, r.Dropped())
		}
	})
}

// TestWhatWasPublishedMakesRoom at once, although the table was looked into just before.
func TestWhatWasPublishedMakesRoom(t *testing.T) {
	eachInBubble(t, func(t *testing.T, d *db.DB) {
		b := &bus{away: true}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b, Log: testkit.Log(t), MaxBatch: 100, Cap: 250})
		run(t, r)
		record(r, 0, 200)
		time.Sleep(1500 * time.Millisecond) // of the bubble
		record(r, 200, 300)                 // too many: the table is looked into
		time.Sleep(300 * time.Millisecond)
		if n := r.Dropped(); n != 100 {
			t.Fatalf("%d dropped, want 100", n)
		}
		b.setAway(false)
		time.Sleep(400 * time.Millisecond) // what is spilled is published
		b.setAway(true)
		if n := spilled(t, d); n != 0 {
			t.Fatalf("%d events are still spilled", n)
		}
		record(r, 300, 500)
		time.Sleep(300 * time.Millisecond)
		if stored, dropped := spilled(t, d), r.Dropped(); stored != 200 || dropped != 100 {
			t.Errorf("%d stored in an empty table and %d dropped, want 200 and 100 as before", stored, dropped)
		}
	})
}

// TestSpilledEventsAreRewritten: those that edit changes are published so, the others as they were.
func TestSpilledEventsAreRewritten(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{DB: d, Pub: &bus{away: true}, MaxBatch: 4})
		stop := run(t, r)
		want := record(r, 0, 10)
		stop()
		var seen []string
		edit := func(e event.Event) ([]byte, bool) {
			if !slices.Contains(seen, e.Subject) { // those of a batch that changes are shown twice
				seen = append(seen, e.Subject)
			}
			return []byte(`{"license_id":"another"}`), e.Subject == "3" || e.Subject == "9"
		}
		if err := r.Rewrite(t.Context(), edit); err != nil || !slices.Equal(seen, want) {
			t.Fatalf("%v, %v", seen, err)
		}
		b := &bus{}
		run(t, telemetry.New(telemetry.Config{DB: d, Pub: b}))
		b.await(t, want)
		for _, e := range slices.Concat(b.batches...) {
			var msg eventsv1.LicenseValidated
			if err := e.Into(&msg); err != nil {
				t.Fatal(err)
			}
			changed := e.Subject == "3" || e.Subject == "9"
			if (msg.GetLicenseId() == "another") != changed || !e.Time.Equal(at) {
				t.Errorf("%s became %s at %v", e.Subject, e.Data, e.Time)
			}
		}
	})
}

// A process that was killed while it published leaves a claim behind, which must run out.
func TestTheClaimOfAKilledProcessRunsOut(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{DB: d, Pub: &bus{away: true}})
		stop := run(t, r)
		want := record(r, 0, 10)
		stop()
		claim := func(until time.Time) {
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return tx.Exec(`UPDATE telemetry_spill SET claim = ?, claimed_until = ?`,
					"018f4b1e-0000-7000-8000-000000000001", until).Error
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		b := &bus{}
		claim(time.Now().Add(time.Minute))
		heir := run(t, telemetry.New(telemetry.Config{DB: d, Pub: b}))
		heir()
		if n := len(b.subjects()); n != 0 {
			t.Fatalf("%d events were published that another process had claimed", n)
		}
		claim(time.Now().Add(-time.Second))
		run(t, telemetry.New(telemetry.Config{DB: d, Pub: b}))
		b.await(t, want)
	})
}

// TestAClaimFromBeforeTheClockWasSetBack does not keep events until its time comes again.
func TestAClaimFromBeforeTheClockWasSetBack(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		b := &bus{away: true}
		r := telemetry.New(telemetry.Config{DB: d, Pub: b})
		stop := run(t, r)
		want := record(r, 0, 10)
		stop()
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(`UPDATE telemetry_spill SET claim = ?, claimed_until = ?`,
				"018f4b1e-0000-7000-8000-000000000001", time.Now().Add(14*24*time.Hour)).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		b.setAway(false)
		run(t, telemetry.New(telemetry.Config{DB: d, Pub: b}))
		b.await(t, want)
	})
}

// TestSmallRowsArePublishedTogether: a long outage leaves a row for each moment in which anything was recorded.
func TestSmallRowsArePublishedTogether(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{DB: d, Pub: &bus{away: true}, MaxBatch: 1})
		stop := run(t, r)
		record(r, 0, 450)
		stop()
		b := &bus{}
		run(t, telemetry.New(telemetry.Config{DB: d, Pub: b}))
		awaitSpilled(t, d, 0)
		if n := len(b.subjects()); n != 450 {
			t.Errorf("%d events were published", n)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(b.batches); n > 4 {
			t.Errorf("450 rows were published in %d batches", n)
		}
	})
}

// TestLargeEventsAreSpilledAndRead: a batch of them is more than can be read in one piece.
func TestLargeEventsAreSpilledAndRead(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		r := telemetry.New(telemetry.Config{DB: d, Pub: &bus{away: true}})
		stop := run(t, r)
		name := strings.Repeat("x", 10<<10)
		var want []string
		for i := range 500 {
			want = append(want, strconv.Itoa(i))
			r.Record("latchkey/license", want[i], at, &eventsv1.LicenseValidated{DeviceName: name})
		}
		stop()
		b := &bus{}
		again := telemetry.New(telemetry.Config{DB: d, Pub: b})
		run(t, again)
		b.await(t, want)
		if n := r.Dropped() + again.Dropped(); n != 0 {
			t.Errorf("%d events were dropped", n)
		}
	})
}
