package licensing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// told runs the schedule over a license at instants and returns the types of the events, in order.
func told(l License, at ...time.Time) (types []string) {
	for _, now := range at {
		ch := &Change{License: l}
		ch.Announce(now)
		l = ch.License
		for _, e := range ch.Events() {
			name := string(proto.MessageName(e).Name())
			types = append(types, strings.TrimPrefix(name, "License"))
		}
	}
	return types
}

// every returns the instants of a walk through time.
func every(step time.Duration, n int) (at []time.Time) {
	for i := range n {
		at = append(at, noon.Add(time.Duration(i)*step))
	}
	return at
}

func TestAnnounce(t *testing.T) {
	ends := Terms{ExpiresAt: noon.Add(hours(5)), GraceHours: 3}
	for name, tc := range map[string]struct {
		license License
		at      []time.Time
		want    string
	}{
		"perpetual":     {License{IsActive: true}, every(time.Hour, 99), ""},
		"grace and end": {License{IsActive: true, Terms: ends}, every(time.Hour, 99), "InGrace Expired"},
		"the end alone": {License{IsActive: true, Terms: Terms{ExpiresAt: noon}}, every(time.Hour, 9),
			"Expired"},
		"a start": {License{
			IsActive:  true,
			Terms:     Terms{StartsAt: noon.Add(hours(1))},
			Announced: StatusNotStarted,
		}, every(time.Hour, 9), "Started"},
		"a start, and so on": {License{IsActive: true, Terms: Terms{
			StartsAt:   noon.Add(hours(1)),
			ExpiresAt:  noon.Add(hours(2)),
			GraceHours: 1,
		}, Announced: StatusNotStarted}, every(time.Hour, 9), "Started InGrace Expired"},
		"two weeks later": {License{IsActive: true, Terms: Terms{
			StartsAt:   noon.Add(hours(1)),
			ExpiresAt:  noon.Add(hours(2)),
			GraceHours: 1,
		}, Announced: StatusNotStarted}, every(14*day, 2), "Started Expired"},
		"inactive": {License{Terms: ends}, every(time.Hour, 9), ""},
		"suspended meanwhile": {License{IsActive: true, Terms: ends, Suspension: &Suspension{At: noon}},
			every(time.Hour, 99), ""},
		"suspended into the grace": {License{
			IsActive:   true,
			Terms:      ends,
			Suspension: &Suspension{At: noon, Until: noon.Add(hours(6))},
		}, every(time.Hour, 99), "Reinstated InGrace Expired"},
	} {
		if got := strings.Join(told(tc.license, tc.at...), " "); got != tc.want {
			t.Errorf("%s: told %q, want %q", name, got, tc.want)
		}
	}
}

// TestEveryStatusIsToldOfOnce: over random lives, with calls at random instants, what is told is what a walk through
// the statuses shows: each once, in order, and what mayHaveNews passes over is no news.
func TestEveryStatusIsToldOfOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	for range 2000 {
		l := License{IsActive: true, Terms: Terms{
			ExpiresAt:  noon.Add(hours(random.IntN(40))),
			GraceHours: random.IntN(20),
		}}
		if random.IntN(2) == 0 {
			l.StartsAt, l.Announced = noon.Add(hours(1+random.IntN(30))), StatusNotStarted
		}
		statuses, last := []string{}, l.Status(noon.Add(-hours(1)))
		names := map[Status]string{StatusActive: "Started", StatusInGrace: "InGrace", StatusExpired: "Expired"}
		var at []time.Time
		for now := noon; now.Before(noon.Add(hours(90))); now = now.Add(30 * time.Minute) {
			if !l.mayHaveNews(now) && l.hasNews(now) {
				t.Fatalf("%+v has news at %s", l, now)
			}
			if random.IntN(4) > 0 {
				at = append(at, now)
			}
			if status := l.Status(now); status != last {
				if last == StatusNotStarted && status != StatusActive {
					statuses = append(statuses, "Started")
				}
				statuses, last = append(statuses, names[status]), status
			}
		}
		// A grace may begin and end between two calls; nothing else can be missed.
		got := told(l, at...)
		want := slices.DeleteFunc(slices.Clone(statuses), func(s string) bool {
			return s == "InGrace" && !slices.Contains(got, s)
		})
		if fmt.Sprint(got) != fmt.Sprint(want) || l.GraceHours > 4 && len(got) != len(statuses) && len(at) > 150 {
			t.Fatalf("%+v: told %v, its statuses were %v", l.Terms, got, statuses)
		}
	}
}

// TestFirstActivationStartsTheClock, and only the first one.
func TestFirstActivationStartsTheClock(t *testing.T) {
	trial := func(ch *Change) {
		ch.License.ExpiresAt, ch.License.CurrentDevices, ch.Devices = time.Time{}, 0, map[string]*Device{}
		ch.License.Terms.DurationDays, ch.License.FirstActivation, ch.License.Timezone = 14, true, "UTC"
	}
	ch := license(trial)
	if !ch.License.AwaitsStart() || !ch.License.Began().IsZero() || ch.License.LicenseType() != TypeTimeLimited {
		t.Fatalf("%+v", ch.License)
	}
	for i, hardwareID := range []string{"one", "two"} {
		now := noon.Add(time.Duration(i) * day)
		d := Device{ID: hardwareID, HardwareID: hardwareID, IsActive: true, ActivatedAt: now}
		a, err := ch.activate(d, Caller{Client: &Client{HardwareID: hardwareID}}, now)
		if err != nil || !a.ExpiresAt.Equal(noon.Add(14*day)) {
			t.Fatalf("%s: ends %s, %v", hardwareID, a.ExpiresAt, err)
		}
	}
	if !ch.License.StartedAt.Equal(noon) || !ch.License.Began().Equal(noon) || len(ch.Events()) != 3 {
		t.Errorf("started at %s, told %v", ch.License.StartedAt, ch.Events())
	}
}

// TestAStartThatIsTakenAwayIsNow: the event says when the time of the license begins, also without a starts_at.
func TestAStartThatIsTakenAwayIsNow(t *testing.T) {
	ch := &Change{License: License{IsActive: true, Announced: StatusNotStarted}}
	ch.Announce(noon)
	events := ch.Events()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	if e, ok := events[0].(*eventsv1.LicenseStarted); !ok || !e.GetStartedAt().AsTime().Equal(noon) {
		t.Errorf("%v", events[0])
	}
}
