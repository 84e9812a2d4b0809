package usage

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

var now = time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC)

// someEvents is a mix of everything that rollups are made of, at times that collide.
func someEvents(r *rand.Rand, n int) []Event {
	types := []string{
		eventsv1.TypeLicenseCreated, eventsv1.TypeLicenseUpdated, eventsv1.TypeLicenseDeactivated,
		eventsv1.TypeLicenseReactivated,
		eventsv1.TypeLicenseActivated, eventsv1.TypeLicenseTransferred, eventsv1.TypeLicenseHeartbeat,
		eventsv1.TypeLicenseValidated,
		eventsv1.TypeLicenseValidationFailed, eventsv1.TypeLicenseDeviceLimitExceeded, eventsv1.TypeDeviceDeactivated,
		eventsv1.TypeLicenseTokenRefused, eventsv1.TypeDeviceCulled, eventsv1.TypeDeviceRebound,
	}
	pick := func(prefix string, n int) string { return fmt.Sprint(prefix, r.IntN(n)) }
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{Observation: detect.Observation{
			EventID: fmt.Sprint(i), Type: types[r.IntN(len(types))],
			At:        now.Add(-time.Duration(r.IntN(400)) * 7 * time.Minute),
			LicenseID: pick("l", 3), HardwareID: pick("h", 4), FromHardwareID: pick("h", 4), ToHardwareID: pick("h", 4),
			DeviceName: pick("n", 3),
			AppVersion: pick("v", 30), IP: fmt.Sprintf("192.0.%d.1", r.IntN(3)), ErrorCode: pick("E", 2),
			MaxDevices: r.IntN(5),
		}, CustomerID: pick("c", 2), CurrentDevices: r.IntN(5), IsActive: r.IntN(2) == 0, Version: int64(i + 1)}
		events[i].Snapshot = strings.HasPrefix(events[i].Type, "license.") && r.IntN(2) == 0
	}
	return events
}

// TestFoldHasNoOrder demands that any order and any division into batches end in the same rollups.
func TestFoldHasNoOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	events := someEvents(r, 500)
	want := Fold(events)
	for range 5 {
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		got := Fold(nil)
		for start := 0; start < len(events); {
			end := min(len(events), start+1+r.IntN(60))
			got.join(Fold(events[start:end]))
			start = end
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("another order, other rollups (-want +got):\n%s", diff)
		}
	}
}

// join merges as the store does.
func (c *Changes) join(o *Changes) {
	for k, v := range o.Fleet {
		if c.Fleet[k] == nil {
			c.Fleet[k] = &Counts{}
		}
		c.Fleet[k].Add(*v)
	}
	for k, v := range o.Failures {
		c.Failures[k] += v
	}
	for k, v := range o.Licenses {
		merge(c.Licenses, k, v)
	}
	for k, v := range o.Devices {
		merge(c.Devices, k, v)
	}
	for k, v := range o.Networks {
		c.Networks[k] = clock.Later(c.Networks[k], v)
	}
}

// TestSeatsOfDevices: a device that has left its seat, however that came, may be forgotten.
func TestSeatsOfDevices(t *testing.T) {
	for eventType, want := range map[string]map[string]bool{
		eventsv1.TypeLicenseActivated:   {"here": true},
		eventsv1.TypeDeviceDeactivated:  {"here": false},
		eventsv1.TypeDeviceCulled:       {"here": false},
		eventsv1.TypeDeviceRebound:      {"before": false, "here": true},
		eventsv1.TypeLicenseTransferred: {"before": false, "there": true},
	} {
		got := map[string]bool{}
		for _, d := range devicesOf(&Event{Observation: detect.Observation{
			Type: eventType, LicenseID: "l", HardwareID: "here", FromHardwareID: "before", ToHardwareID: "there",
		}, Version: 2}) {
			got[d.HardwareID] = d.Seat.Value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", eventType, diff)
		}
	}
}

func TestLicenseVersions(t *testing.T) {
	end := now.AddDate(1, 0, 0)
	seats := func(n int) detect.Observation { return detect.Observation{MaxDevices: n} }
	event := func(eventType string, version int64, e Event) Event {
		e.Type, e.At, e.LicenseID, e.Version, e.Snapshot = eventType, now, "l", version, e.CustomerID != ""
		return e
	}
	events := []Event{
		event(eventsv1.TypeLicenseCreated, 1, Event{CustomerID: "acme", IsActive: true,
			Observation: seats(2)}),
		event(eventsv1.TypeLicenseActivated, 2, Event{CurrentDevices: 1, Observation: seats(2)}),
		event(eventsv1.TypeLicenseUpdated, 3, Event{CustomerID: "globex", IsActive: true,
			CurrentDevices: 1, Span: Span{ExpiresAt: end}, Observation: seats(5)}),
		event(eventsv1.TypeLicenseDeactivated, 4, Event{CustomerID: "globex", CurrentDevices: 1,
			Span: Span{ExpiresAt: end}, Observation: seats(5)}),
		event(eventsv1.TypeLicenseReactivated, 5, Event{CustomerID: "globex", IsActive: true,
			CurrentDevices: 1, Observation: seats(7)}),
		event(eventsv1.TypeDeviceDeactivated, 6, Event{CurrentDevices: 0, Observation: seats(7)}),
	}
	l := Fold(events).Licenses["l"]
	if l.Identity.Value.CustomerID != "globex" || l.MaxDevices.Value != 7 || l.Seats.Value != 0 || !l.Active.Value ||
		!l.Span.Value.ExpiresAt.IsZero() || !l.Usable(now) {
		t.Errorf("after everything: %+v", l)
	}
	l = Fold(events[:4]).Licenses["l"]
	if l.Usable(now) || l.MaxDevices.Value != 5 || l.Seats.Value != 1 || !l.Span.Value.ExpiresAt.Equal(end) {
		t.Errorf("after the deactivation: %+v", l)
	}
	l = Fold(events[:3]).Licenses["l"]
	if !l.Usable(now) || l.Usable(end) {
		t.Errorf("after the update: %+v", l)
	}
	l = Fold([]Event{event(eventsv1.TypeLicenseValidated, 0, Event{})}).Licenses["l"]
	if !l.Usable(now) {
		t.Error("a license of which only use is known counts as unusable")
	}
}

func TestUsable(t *testing.T) {
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	for name, tt := range map[string]struct {
		span Span
		want bool
	}{
		"perpetual":             {Span{}, true},
		"started now":           {Span{StartsAt: now}, true},
		"not started":           {Span{StartsAt: after}, false},
		"not ended":             {Span{ExpiresAt: after}, true},
		"ends now":              {Span{ExpiresAt: now}, false},
		"in grace":              {Span{ExpiresAt: before, GraceHours: 2}, true},
		"grace ends now":        {Span{ExpiresAt: before, GraceHours: 1}, false},
		"suspended":             {Span{SuspendedAt: before}, false},
		"suspended for a while": {Span{SuspendedAt: before, SuspendedUntil: after}, false},
		"suspension ends now":   {Span{SuspendedAt: before, SuspendedUntil: now}, true},
	} {
		l := License{Active: Versioned[bool]{true, 1}, Span: Versioned[Span]{tt.span, 1}}
		if got := l.Usable(now); got != tt.want {
			t.Errorf("%s: usable %t", name, got)
		}
	}
}

func TestNetworkOf(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48",
		"fe80::1%eth0": "fe80::/48", "": "", "x": "",
	} {
		if got := networkOf(ip); got != want {
			t.Errorf("network of %q: %q, want %q", ip, got, want)
		}
	}
}

func TestExpect(t *testing.T) {
	if e := expect([]float64{1, 2, 3, 4, 5, 6}); e.Expected != nil || e.Low != nil || e.High != nil {
		t.Errorf("six values are history enough: %v", *e.Expected)
	}
	e := expect([]float64{100, 102, 98, 100, 101, 99, 5000})
	if *e.Expected != 100 || *e.Low > 95 || *e.High > 140 || *e.High < 105 {
		t.Errorf("with one outlier: %v in [%v, %v]", *e.Expected, *e.Low, *e.High)
	}
	e = expect(make([]float64, 30))
	if *e.Expected != 0 || *e.Low != 0 || *e.High != 3 {
		t.Errorf("without use: %v in [%v, %v]", *e.Expected, *e.Low, *e.High)
	}
}

func TestTypicalHours(t *testing.T) {
	var night, always [24]int64
	for h := range always {
		always[h] = 10
	}
	for _, h := range []int{22, 23, 0, 1, 2} {
		night[h] = 20
	}
	if h := newTypicalHours(night); h.From == nil || *h.From != 22 || *h.To != 2 {
		t.Errorf("over midnight: %+v", h)
	}
	if h := newTypicalHours(always); h.From != nil {
		t.Errorf("day and night: from %d", *h.From)
	}
	if h := newTypicalHours([24]int64{8: 49}); h.From != nil {
		t.Error("49 events show habits")
	}
	for hour, want := range map[int]string{
		13: "UTC+00:00",
		12: "UTC+01:00",
		22: "UTC-09:00",
		1:  "UTC-12:00",
		4:  "UTC+09:00",
	} {
		var h [24]int64
		h[hour] = 100
		if got := newTypicalHours(h); *got.TimezoneGuess != want {
			t.Errorf("work at %d UTC: %s, want %s", hour, *got.TimezoneGuess, want)
		}
	}
}

func TestPeak(t *testing.T) {
	day := func(d int, device string, hours ...int) DeviceDay {
		dd := DeviceDay{DeviceDayKey: DeviceDayKey{DayKey{"l", now.AddDate(0, 0, d)}, device}}
		for _, h := range hours {
			dd.Hours |= 1 << h
		}
		return dd
	}
	u := NewDeviceUse()
	if u.Peak != 0 {
		t.Errorf("peak of nothing: %d", u.Peak)
	}
	for _, d := range []DeviceDay{
		day(0, "a", 1, 2), day(0, "b", 2, 3), day(0, "c", 3, 23), day(1, "d", 2), day(1, "e", 23),
	} {
		u.Add(&d)
	}
	if u.Peak != 2 {
		t.Errorf("peak %d, want 2", u.Peak)
	}
}

func TestTrend(t *testing.T) {
	daily := make([]DailyFigure, 15) // fourteen days and today
	for i := range daily {
		daily[i].Validations = 10
		if i >= 7 {
			daily[i].Validations = 15
		}
	}
	q := DataQuality{DaysCovered: 15}
	if got := newTrend(daily, q); got.Direction != "up" || *got.ChangePercent != 50 {
		t.Errorf("trend: %+v", got)
	}
	if got := newTrend(daily, DataQuality{DaysCovered: 5}); got.Direction != "unknown" || got.ChangePercent != nil {
		t.Errorf("trend of four whole days: %+v", got)
	}
	if got := newTrend(daily[:1], DataQuality{DaysCovered: 0}); got.Direction != "unknown" {
		t.Errorf("trend of a license never seen: %+v", got)
	}
}
