package store_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	license = "01890000-0000-7000-8000-000000000001"
	// busyDevices were at work on each of busyDays, which makes so many rows.
	busyDevices, busyDays = 200, 365
)

var noon = time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC)

// TestDaysOfDevicesAreNotHeld: the memory of an answer about a year does not grow with the days of the devices.
func TestDaysOfDevicesAreNotHeld(t *testing.T) {
	testkit.EachEngine(t, []db.Migrations{store.Migrations, outbox.Migrations}, func(t *testing.T, d *db.DB) {
		s := store.New(d, outbox.New(d, "latchkey/analytics"))
		seedDays(t, d, s)
		w := usage.LastDays(noon, usage.MaxDays)
		var page []usage.LicenseUsage
		var h *usage.History
		held := liveHeap(func() {
			var err error
			if page, err = s.Page(t.Context(), usage.ReportQuery{Window: w, Limit: 1000}); err != nil {
				t.Fatal(err)
			}
			if h, err = s.History(t.Context(), &usage.License{ID: license}, w); err != nil {
				t.Fatal(err)
			}
		})
		const days, perDay = busyDevices * busyDays, 32
		if held > days*perDay {
			t.Errorf("%d bytes are held for %d days of devices", held, days)
		}
		if got := page[0]; got.Devices != busyDevices || got.PeakConcurrent != busyDevices {
			t.Errorf("a report tells of %+v", got)
		}
		if len(h.Use.Uses) != busyDevices || h.Use.Total != days || h.Use.On(w.From.AddDate(0, 0, 1)) != busyDevices {
			t.Errorf("%d devices with %d uses", len(h.Use.Uses), h.Use.Total)
		}
	})
}

// TestDevicesAreNotHeld: the memory of an answer does not grow with the devices of the license.
func TestDevicesAreNotHeld(t *testing.T) {
	testkit.EachEngine(t, []db.Migrations{store.Migrations, outbox.Migrations}, func(t *testing.T, d *db.DB) {
		s := store.New(d, outbox.New(d, "latchkey/analytics"))
		const devices, perDevice = 50_000, 100
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(`WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
				INSERT INTO devices (license_id, hardware_id, name, os, country, app_version, has_seat, seat_version,
					versions, day_hours, day_uses)
				SELECT ?, 'device ' || n, '', '', '', '', true, 1, '[]', 0, 0 FROM numbers`, devices, license).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		seats := 0
		held := liveHeap(func() {
			err = s.Devices(t.Context(), license, func(d *usage.Device) {
				if d.Seat.Value {
					seats++
				}
			})
		})
		if err != nil || seats != devices {
			t.Errorf("%d devices, %v", seats, err)
		}
		if held > devices*perDevice {
			t.Errorf("%d bytes are held for %d devices", held, devices)
		}
	})
}

// seedDays makes a license whose devices were at work on each day of the year before.
func seedDays(t *testing.T, d *db.DB, s *store.Store) {
	t.Helper()
	progress, err := s.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events := []usage.Event{{Data: []byte("{}"), Observation: detect.Observation{
		EventID: license, Type: eventsv1.TypeLicenseValidated, At: noon, LicenseID: license,
	}}}
	b := &usage.Batch{Epoch: progress.Epoch, Events: events, Position: 1, ReplayAfter: 1,
		Changes: usage.Fold(events), Before: usage.NewRollups()}
	b.Changes.Complete(b.Before)
	if err := s.Write(t.Context(), noon, b); err != nil {
		t.Fatal(err)
	}
	date := "?::timestamptz - n * interval '1 day'"
	if d.Engine() == db.SQLite {
		date = "strftime('%Y-%m-%d 00:00:00+00:00', substr(?, 1, 10), '-' || n || ' days')"
	}
	err = d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`WITH RECURSIVE days(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < ?),
			numbers(m) AS (SELECT 1 UNION ALL SELECT m + 1 FROM numbers WHERE m < ?)
			INSERT INTO device_past_days SELECT ?, `+date+`, 'device ' || m, 1, 1 FROM days, numbers`,
			busyDays, busyDevices, license, usage.DayOf(noon)).Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

// liveHeap is by how much f made what is in use grow, at most: the collector, which runs often meanwhile, tells each
// time how much it found.
func liveHeap(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	live := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	for range 3 { // what has a finalizer, or is in a pool, outlives one
		runtime.GC()
	}
	before := live()
	var most atomic.Uint64
	var watch func(*[16]byte)
	watch = func(*[16]byte) {
		most.Store(max(most.Load(), live()))
		runtime.SetFinalizer(new([16]byte), watch)
	}
	watch(nil)
	f()
	return max(most.Load(), before) - before
}
