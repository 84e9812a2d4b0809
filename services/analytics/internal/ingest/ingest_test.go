package ingest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// month is thirty days of one license: two devices, one of which leaves, one that joins by transfer, an upgrade in
// the middle, and some refusals. Its figures are known.
func month(s *script) []event.Event {
	start := usage.DayOf(now).AddDate(0, 0, -29)
	events := []event.Event{s.created(start, 3)}
	version := 1
	seat := func(eventType string, at time.Time, current int, b body) {
		version++
		b["version"], b["current_devices"], b["max_devices"] = version, current, 3
		events = append(events, s.event(eventType, at, b))
	}
	seat(eventsv1.TypeLicenseActivated, start.Add(time.Hour), 1,
		body{"hardware_id": "A", "device_name": "alpha", "ip": "192.0.2.1"})
	seat(eventsv1.TypeLicenseActivated, start.Add(2*time.Hour), 2,
		body{"hardware_id": "B", "device_name": "beta", "ip": "192.0.2.2"})
	for day := range 30 {
		at := start.AddDate(0, 0, day)
		appVersion := "1.0"
		if day >= 15 {
			appVersion = "2.0"
		}
		use := func(eventType, device string, hour int) {
			events = append(events, s.event(eventType, at.Add(time.Duration(hour)*time.Hour+time.Minute),
				body{"hardware_id": device, "app_version": appVersion, "os": "Linux 6", "ip": "192.0.2.1"}))
		}
		use(eventsv1.TypeLicenseValidated, "A", 8)
		use(eventsv1.TypeLicenseValidated, "A", 9)
		use(eventsv1.TypeLicenseHeartbeat, "A", 9)
		if day < 20 {
			use(eventsv1.TypeLicenseValidated, "B", 9)
		}
		if day%10 == 0 {
			events = append(events, s.event(eventsv1.TypeLicenseValidationFailed, at.Add(7*time.Hour),
				body{"hardware_id": "X", "error_code": "DEVICE_NOT_ACTIVATED"}))
		}
	}
	seat(eventsv1.TypeDeviceDeactivated, start.AddDate(0, 0, 20).Add(10*time.Hour), 1, body{"hardware_id": "B"})
	seat(eventsv1.TypeLicenseTransferred, start.AddDate(0, 0, 25).Add(10*time.Hour), 1,
		body{"from_hardware_id": "A", "to_hardware_id": "C"})
	events = append(events, s.event(eventsv1.TypeLicenseDeviceLimitExceeded, start.AddDate(0, 0, 26).Add(10*time.Hour),
		body{"hardware_id": "Y", "error_code": "DEVICE_LIMIT_EXCEEDED"}))
	return events
}

// answers is everything that can be asked about the license.
type answers struct {
	Patterns *usage.Patterns
	Figures  *usage.Figures
	Total    usage.DayUsage
	Daily    []usage.DayUsage
	Report   *usage.Report
}

func (r *harness) answers() answers {
	r.t.Helper()
	ctx := r.t.Context()
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	var a answers
	var err error
	a.Patterns, err = r.reports.Patterns(ctx, license, 30)
	must(err)
	a.Figures, err = r.reports.Figures(ctx, license)
	must(err)
	a.Total, a.Daily, err = r.reports.Usage(ctx, license, 30)
	must(err)
	a.Report, err = r.reports.Report(ctx, usage.ReportQuery{Window: r.reports.Window(30), Limit: 10})
	must(err)
	return a
}

func TestMonth(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		r.handle(month(&script{})...)
		a := r.answers()

		want := usage.DayUsage{UniqueDevices: 2, Counts: usage.Counts{
			Validations: 80, Failures: 3, Activations: 2, Deactivations: 1, Heartbeats: 30,
			Events: 1 + 80 + 3 + 2 + 1 + 30 + 2,
		}}
		if diff := cmp.Diff(want, a.Total); diff != "" {
			t.Errorf("total usage (-want +got):\n%s", diff)
		}
		if len(a.Daily) != 30 || a.Daily[0].Activations != 2 || a.Daily[0].Validations != 3 ||
			a.Daily[29].Validations != 2 || a.Daily[29].UniqueDevices != 1 {
			t.Errorf("daily usage: %d days, first %+v, last %+v", len(a.Daily), a.Daily[0], a.Daily[29])
		}
		p := a.Patterns
		var hours [24]int64
		hours[8], hours[9] = 30, 80 // each day A validates at 8 and 9 and beats at 9; B validates at 9 on twenty
		if p.Activity.ByHourOfDay != hours || p.Activity.ActiveDays != 30 || p.Activity.Validations != 80 {
			t.Errorf("activity: %+v", p.Activity)
		}
		d := p.Devices
		if d.Seen != 2 || d.ActiveNow != 1 || *d.MaxDevices != 3 || d.PeakConcurrent != 2 || d.New != 2 {
			t.Errorf("devices: %+v", d)
		}
		if diff := cmp.Diff([]string{"2.0", "1.0"}, d.List[0].Versions); diff != "" {
			t.Errorf("versions of the device last seen (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int64{"DEVICE_NOT_ACTIVATED": 3, "DEVICE_LIMIT_EXCEEDED": 1},
			p.Failures.ByCode); diff != "" {
			t.Errorf("failures by code (-want +got):\n%s", diff)
		}
		if a.Figures.ValidationsTotal != 80 || a.Figures.Validations24h != 2 ||
			!a.Figures.LastValidatedAt.Equal(now.Add(-3*time.Hour+time.Minute)) {
			t.Errorf("figures: %+v", a.Figures)
		}
		totals := a.Report.Totals
		if totals != (usage.Totals{
			Licenses:        1,
			Active:          1,
			Devices:         2,
			Validations:     80,
			Failures:        3,
			SeatUtilization: 0.3333,
		}) {
			t.Errorf("report totals: %+v", totals)
		}
	})
}

// TestADeviceThatWasForgottenComesBack also to the process that remembers it.
func TestADeviceThatWasForgottenComesBack(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		use := func(at time.Time) event.Event {
			return s.event(eventsv1.TypeLicenseValidated, at, body{"hardware_id": "A"})
		}
		r.handle(s.created(now, 1), use(now))
		again := now.AddDate(0, 0, 402)
		r.clock.Set(again)
		if _, err := r.store.Prune(t.Context(), usage.Expiry{
			Now: again, Events: now, States: again.AddDate(0, 0, -400), Rollups: now,
		}); err != nil {
			t.Fatal(err)
		}
		r.handle(use(again), s.event(eventsv1.TypeLicenseTransferred, again,
			body{"from_hardware_id": "B", "to_hardware_id": "A", "version": 2}))
		key := usage.DeviceKey{LicenseID: license, HardwareID: "A"}
		stored, err := r.store.Rollups(t.Context(), []string{license}, []usage.DeviceKey{key})
		if err != nil || stored.Devices[key] == nil || !stored.Devices[key].Seat.Value {
			t.Errorf("%+v, %v", stored.Devices[key], err)
		}
	})
}

// TestDisorder demands the same state whatever the order, the batches and the repetitions.
func TestDisorder(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		events := month(&script{})
		r.handle(events...)
		want := r.answers()

		r2 := r.emptied()
		random := rand.New(rand.NewPCG(1, 2))
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for len(events) > 0 {
			n := min(1+random.IntN(40), len(events))
			r2.handle(events[:n]...)
			r2.handle(append(events[:n:n], events[0])...) // the same again, as after a crash, and one of them twice
			events = events[n:]
		}
		if diff := cmp.Diff(want, r2.answers()); diff != "" {
			t.Errorf("disorder changes the answers (-ordered +shuffled):\n%s", diff)
		}
	})
}

func TestPoison(t *testing.T) {
	s := &script{}
	good := s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "A"})
	poison := map[string]event.Event{
		"wrong type of a member": s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": 7}),
		"license id no UUID":     s.event(eventsv1.TypeLicenseValidated, now, body{"license_id": "x"}),
		"NUL":                    s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "a\x00b"}),
		"NUL in the type":        {ID: good.ID, Type: "license.\x00", Time: now, Data: []byte(`{}`)},
		"future":                 s.event(eventsv1.TypeLicenseValidated, now.AddDate(0, 0, 2), nil),
		"before all time": s.event(eventsv1.TypeLicenseValidated, time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
			nil),
		"id no UUID":     {ID: "7", Type: eventsv1.TypeLicenseValidated, Time: now, Data: []byte(`{}`)},
		"data no object": {ID: good.ID, Type: eventsv1.TypeLicenseValidated, Time: now, Data: []byte(`[]`)},
		"data no UTF-8": {ID: good.ID, Type: eventsv1.TypeLicenseValidated, Time: now,
			Data: []byte("{\"a\":\"\xff\"}")},
	}
	each(t, func(t *testing.T, r *harness) {
		for name, bad := range poison {
			var rejected bus.Rejected
			if err := r.consumer.Handle(t.Context(), []event.Event{bad}); !errors.As(err, &rejected) ||
				rejected[0] == nil {
				t.Errorf("%s alone: %v, want it rejected", name, err)
			}
		}
		if _, err := r.reports.Figures(t.Context(), license); !errors.Is(err, usage.ErrLicenseNotFound) {
			t.Errorf("something was written: %v", err)
		}
		for name, bad := range poison {
			var rejected bus.Rejected
			err := r.consumer.Handle(t.Context(), []event.Event{good, bad, good})
			if !errors.As(err, &rejected) || len(rejected) != 1 || rejected[1] == nil {
				t.Errorf("%s beside others: %v, want it alone rejected", name, err)
			}
		}
		if f, err := r.reports.Figures(t.Context(), license); err != nil || f.ValidationsTotal != 1 {
			t.Errorf("the good event: %+v, %v", f, err)
		}
	})
}

func TestFencing(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s, second := &script{}, r.another()
		r.handle(s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "A"}))
		stale := []event.Event{s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "A"})}
		if err := second.Handle(t.Context(), []event.Event{
			s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "A"})}); err != nil {
			t.Fatalf("the second consumer: %v", err)
		}
		if err := r.consumer.Handle(t.Context(), stale); !errors.Is(err, usage.ErrFenced) {
			t.Fatalf("the first consumer commits after it was replaced: %v", err)
		}
		if f, err := r.reports.Figures(t.Context(), license); err != nil || f.ValidationsTotal != 2 {
			t.Fatalf("after the stale commit: %+v, %v", f, err)
		}
		if err := r.consumer.Handle(t.Context(), stale); err != nil {
			t.Fatalf("the first consumer, when it is given events again: %v", err)
		}
		if f, err := r.reports.Figures(t.Context(), license); err != nil || f.ValidationsTotal != 3 {
			t.Errorf("after it took over again: %+v, %v", f, err)
		}
	})
}

// TestRestart demands that detectors go on from what was committed: a consumer per event finds what one for all finds.
func TestRestart(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		events := guessing(&script{}, now.Add(-time.Hour))
		r.handle(events...)
		want, err := r.store.Anomalies(t.Context(), usage.AnomalyQuery{})
		if err != nil || len(want) == 0 {
			t.Fatalf("one consumer: %d anomalies, %v", len(want), err)
		}
		r2 := r.emptied()
		for _, e := range events {
			r2.consumer = r2.another()
			r2.handle(e)
		}
		got, err := r2.store.Anomalies(t.Context(), usage.AnomalyQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a restart between events changes what is found (-without +with):\n%s", diff)
		}
	})
}

// guessing is one address that tries keys.
func guessing(s *script, start time.Time) []event.Event {
	var events []event.Event
	for i := range 40 {
		events = append(events, s.event(eventsv1.TypeLicenseValidationFailed, start.Add(time.Duration(i)*time.Minute),
			body{
				"license_id": "", "ip": "203.0.113.9", "error_code": "LICENSE_NOT_FOUND",
				"license_key_hash": fmt.Sprintf("%064x", i),
			}))
	}
	return events
}

// TestAClockThatWasAhead: events that came while the clock of this computer, too, was a year ahead blind the detectors
// no longer than that.
func TestAClockThatWasAhead(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		use := func(network int, at time.Time) event.Event {
			return s.event(eventsv1.TypeLicenseValidated, at, body{"hardware_id": "pc",
				"ip": fmt.Sprintf("20.%d.7.9", network)})
		}
		r.handle(s.created(now.Add(-time.Hour), 1))
		r.clock.Set(now.AddDate(1, 0, 0))
		r.handle(use(0, now.AddDate(1, 0, 0)))
		r.clock.Set(now)
		for i := range 40 {
			if i == 20 {
				r.consumer = r.another()
			}
			r.handle(use(i, now.Add(time.Duration(i)*time.Second)))
		}
		found, err := r.store.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: license, Type: "account_sharing"})
		if err != nil || len(found) != 1 {
			t.Errorf("forty networks of one device: %+v, %v", found, err)
		}
	})
}

// TestAClockThatIsAhead: an event whose sender's clock is wrong, as that of a host may be for a while, is taken for one
// of now, and blinds the detectors to nothing.
func TestAClockThatIsAhead(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		use := func(network int, at time.Time) event.Event {
			return s.event(eventsv1.TypeLicenseValidated, at, body{"hardware_id": "pc",
				"ip": fmt.Sprintf("20.%d.7.9", network)})
		}
		r.handle(s.created(now.Add(-time.Hour), 1), use(0, now.Add(4*time.Minute)), use(0, now.Add(20*time.Hour)))
		r.clock.Set(now.Add(10 * time.Minute))
		for i := range 40 {
			r.handle(use(i, now.Add(5*time.Minute+time.Duration(i)*time.Second)))
		}
		found, err := r.store.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: license, Type: "account_sharing"})
		if err != nil || len(found) != 1 {
			t.Errorf("forty networks of one device: %+v, %v", found, err)
		}
		l, err := r.store.License(t.Context(), license)
		if err != nil || !l.LastSeen.Equal(now.Add(5*time.Minute+39*time.Second)) {
			t.Errorf("last seen %v, %v", l.LastSeen, err)
		}
	})
}
