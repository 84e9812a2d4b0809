package storetest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

func textSurvives(t *testing.T, s *consumer) {
	s.commit(use(1, now, detect.Observation{HardwareID: odd, DeviceName: odd, OS: odd, AppVersion: odd}))
	var got []usage.Device
	err := s.Devices(t.Context(), id(1), func(d *usage.Device) { got = append(got, *d) })
	if err != nil {
		t.Fatal(err)
	}
	want := []usage.Device{{DeviceKey: usage.DeviceKey{LicenseID: id(1), HardwareID: odd},
		Name: usage.Latest{Value: odd, At: now}, OS: usage.Latest{Value: odd, At: now},
		Version:   usage.Latest{Value: odd, At: now},
		FirstSeen: now, LastSeen: now, Versions: []usage.AppVersion{{Version: odd, LastSeen: now}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("device (-want +got):\n%s", diff)
	}
}

func licenseSurvives(t *testing.T, s *consumer) {
	end := now.AddDate(1, 0, 0)
	e := use(1, now, detect.Observation{MaxDevices: 1_000_000, Slots: 5})
	e.Type, e.CustomerID, e.Product, e.LicenseType, e.IsTest, e.IsActive =
		eventsv1.TypeLicenseCreated, odd, "p", "floating", true, true
	e.Snapshot, e.Version = true, 7
	e.Span = usage.Span{StartsAt: now, ExpiresAt: end, GraceHours: 48, SuspendedAt: now, SuspendedUntil: end}
	s.commit(e)
	got, err := s.License(t.Context(), id(1))
	if err != nil {
		t.Fatal(err)
	}
	want := &usage.License{ID: id(1), CreatedAt: now, FirstEventAt: now,
		Identity: usage.Versioned[usage.Identity]{
			Value:   usage.Identity{CustomerID: odd, Product: "p", Type: "floating", IsTest: true, Slots: 5},
			Version: 7,
		},
		MaxDevices: usage.Versioned[int]{Value: 1_000_000, Version: 7}, Seats: usage.Versioned[int]{Version: 7},
		Active: usage.Versioned[bool]{Value: true, Version: 7},
		Span:   usage.Versioned[usage.Span]{Value: e.Span, Version: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("license (-want +got):\n%s", diff)
	}
	if got.Detectable().Slots != 5 {
		t.Errorf("detection knows of %d slots", got.Detectable().Slots)
	}
	page, err := s.Page(t.Context(), usage.ReportQuery{Window: usage.LastDays(now, 7), Limit: 1})
	if err != nil || len(page) != 1 || page[0].Slots != 5 {
		t.Errorf("a report tells %+v, %v; want 5 slots", page, err)
	}
	if _, err := s.License(t.Context(), id(2)); !errors.Is(err, usage.ErrLicenseNotFound) {
		t.Errorf("unknown license: %v", err)
	}
}

// usableLicenses demands that lists and sums count as usable exactly what usage.License.Usable does.
func usableLicenses(t *testing.T, s *consumer) {
	r := rand.New(rand.NewPCG(5, 6))
	moment := func() time.Time {
		if r.IntN(3) == 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(r.IntN(9)-4) * time.Hour)
	}
	for n := range 90 {
		e := use(n, now.AddDate(0, 0, -60), detect.Observation{LicenseID: id(n), MaxDevices: 1})
		e.Type, e.Snapshot, e.Version, e.IsActive = eventsv1.TypeLicenseUpdated, true, 1, r.IntN(5) > 0
		e.Span = usage.Span{StartsAt: moment(), ExpiresAt: moment(), GraceHours: r.IntN(3)}
		if r.IntN(3) == 0 {
			e.Span.SuspendedAt, e.Span.SuspendedUntil = now.Add(-24*time.Hour), moment()
		}
		s.commit(e)
	}
	s.commit(use(90, now.AddDate(0, 0, -60), detect.Observation{LicenseID: id(90)})) // known by use alone
	for hour := range 11 {
		checkUsable(t, s, now.Add(time.Duration(hour-5)*time.Hour))
	}
}

func checkUsable(t *testing.T, s *consumer, at time.Time) {
	t.Helper()
	var want []string
	for n := range 91 {
		l, err := s.License(t.Context(), id(n))
		if err != nil {
			t.Fatal(err)
		}
		if l.Usable(at) {
			want = append(want, l.ID)
		}
	}
	facts, err := s.Report(t.Context(), usage.ReportQuery{Window: usage.LastDays(at, 7), Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range facts.Unused {
		got = append(got, l.LicenseID)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("usable at %s (-want +got):\n%s", at, diff)
	}
	o, err := s.Overview(t.Context(), at)
	if err != nil || o.ActiveLicenses != int64(len(want)) {
		t.Errorf("%d active licenses at %s, want %d: %v", o.ActiveLicenses, at, len(want), err)
	}
}

// unlimitedSeats demands that licenses for any number of devices are no part of the share of seats taken.
func unlimitedSeats(t *testing.T, s *consumer) {
	for n, limit := range []int{4, usage.Unlimited} {
		e := use(n, now, detect.Observation{LicenseID: id(n), MaxDevices: limit})
		e.Type, e.Snapshot, e.Version, e.IsActive, e.CurrentDevices = eventsv1.TypeLicenseUpdated, true, 1, true, 3
		s.commit(e)
	}
	q := usage.ReportQuery{Window: usage.LastDays(now, 7), Limit: 2}
	facts, err := s.Report(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Page(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if facts.SeatsTaken != 3 || facts.Seats != 4 {
		t.Errorf("%d of %d seats taken, want 3 of 4", facts.SeatsTaken, facts.Seats)
	}
	limited, unlimited := page[0], page[1]
	if limited.MaxDevices == nil || *limited.MaxDevices != 4 || limited.Utilization != 0.75 {
		t.Errorf("the limited license: %+v", limited)
	}
	if unlimited.MaxDevices != nil || unlimited.Utilization != 0 {
		t.Errorf("the unlimited license: %+v", unlimited)
	}
}
