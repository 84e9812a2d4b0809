package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestIdleTimeIsThatInWhichSightingsWereWritten: what is between the periods does not count.
func TestIdleTimeIsThatInWhichSightingsWereWritten(t *testing.T) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		periods [][2]int
		idle    int
		want    time.Time
	}{
		"none":                            {nil, 10, time.Time{}},
		"long enough":                     {[][2]int{{-60, 0}}, 10, at(-10)},
		"just long enough":                {[][2]int{{-10, 0}}, 10, at(-10)},
		"too short":                       {[][2]int{{-9, 0}}, 10, time.Time{}},
		"not noted in the last minute":    {[][2]int{{-60, -1}}, 10, at(-10)},
		"not written any more":            {[][2]int{{-60, -30}}, 10, at(-40)},
		"over a gap":                      {[][2]int{{-4, 0}, {-90, -60}}, 10, at(-66)},
		"over two":                        {[][2]int{{-4, 0}, {-33, -30}, {-90, -60}}, 10, at(-63)},
		"over a gap, too short":           {[][2]int{{-4, 0}, {-65, -60}}, 10, time.Time{}},
		"noted twice":                     {[][2]int{{-5, 0}, {-4, 0}, {-90, -60}}, 10, at(-65)},
		"one within another":              {[][2]int{{-5, 0}, {-4, -2}, {-90, -60}}, 10, at(-65)},
		"one reaches into the other":      {[][2]int{{-5, 0}, {-8, -3}}, 8, at(-8)},
		"noted by a clock that was ahead": {[][2]int{{-60, 70}}, 10, at(-10)},
	} {
		t.Run(name, func(t *testing.T) {
			var periods seenPeriods
			for _, p := range c.periods {
				periods = append(periods, seenPeriod{at(p[0]), at(p[1])})
			}
			if got := periods.idleSince(time.Duration(c.idle)*time.Minute, noon); !got.Equal(c.want) {
				t.Errorf("idle since %v, want %v", got, c.want)
			}
		})
	}
}

// sightings are the writers of two replicas.
type sightings struct {
	*harness
	clock *clock.Fake
	seen  [2]*Seen
}

func eachSightings(t *testing.T, test func(t *testing.T, s *sightings)) {
	eachEngine(t, func(t *testing.T, b *harness) {
		s := &sightings{harness: b, clock: clock.NewFake(noon)}
		for i := range s.seen {
			s.seen[i] = NewSeen(b.db, s.clock, func(string, string) {}, testkit.Log(t))
		}
		test(t, s)
	})
}

// device is one that takes a seat, and was seen then.
func (s *sightings) device(hardwareID string) (id string) {
	s.t.Helper()
	s.license(hardwareID, 1, same)
	s.want(hardwareID, hardwareID)
	s.send()
	found := s.db.Read(s.t.Context()).Table("devices").Where("hardware_id = ?", hardwareID)
	if err := found.Pluck("id", &id).Error; err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *sightings) lastSeen(id string) time.Time {
	s.t.Helper()
	var row deviceRow
	if err := s.db.Read(s.t.Context()).Table("devices").Where("id = ?", id).Take(&row).Error; err != nil {
		s.t.Fatal(err)
	}
	return value(row.LastSeenAt)
}

// wantPeriods are the periods in minutes after noon, the latest first.
func (s *sightings) wantPeriods(want ...[2]float64) {
	s.t.Helper()
	periods, err := readSeenPeriods(s.db.Read(s.t.Context()), s.clock.Now().Add(time.Hour))
	if err != nil || len(periods) != len(want) {
		s.t.Fatalf("%d periods, want %d: %v (%v)", len(periods), len(want), periods, err)
	}
	for i, p := range periods {
		if got := [2]float64{p.BeganAt.Sub(noon).Minutes(), p.Until.Sub(noon).Minutes()}; got != want[i] {
			s.t.Errorf("period %d is %v, want %v", i, got, want[i])
		}
	}
}

// TestPeriodsOfSightings: replicas share a period, however far apart their clocks are within a minute, and begin
// another after a minute in which nobody wrote.
func TestPeriodsOfSightings(t *testing.T) {
	eachSightings(t, func(t *testing.T, s *sightings) {
		flush := func(replica int, minutes float64) {
			s.clock.Set(noon.Add(time.Duration(minutes * float64(time.Minute))))
			s.seen[replica].flush(t.Context())
		}
		flush(0, 0)
		flush(1, 0.5)
		s.wantPeriods([2]float64{0, 0.5})
		flush(0, 0.25)
		s.wantPeriods([2]float64{0, 0.5})
		flush(0, 1.5)
		s.wantPeriods([2]float64{0, 1.5})
		flush(0, 1.6) // soon after
		s.wantPeriods([2]float64{0, 1.5})
		flush(1, 12)
		flush(0, 12)
		s.wantPeriods([2]float64{12, 12}, [2]float64{0, 1.5})
		flush(0, 2*366*24*60)
		flush(1, 2*366*24*60)
		s.wantPeriods([2]float64{2 * 366 * 24 * 60, 2 * 366 * 24 * 60})
	})
}

// TestSightingsOutliveAnOutage: what could not be written is written later, with what came meanwhile, and until then
// the time does not count as one of sightings.
func TestSightingsOutliveAnOutage(t *testing.T) {
	eachSightings(t, func(t *testing.T, s *sightings) {
		seen := s.seen[0]
		plain, talks, later := s.device("plain"), s.device("talks"), s.device("later")
		sees := func(id string, minutes int, session string) {
			now := licensing.Sighting{DeviceID: uuid.MustParse(id), At: noon.Add(time.Duration(minutes) * time.Minute)}
			if session != "" {
				now.SessionData = []byte(session)
			}
			seen.Seen(now)
		}
		sees(plain, 1, "")
		sees(talks, 1, `{"open":1}`)
		sees(later, 1, "")
		outage, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		seen.flush(outage)
		s.wantPeriods()
		sees(later, 2, "")
		seen.flush(t.Context())
		s.wantPeriods([2]float64{0, 0})
		for id, minutes := range map[string]int{plain: 1, talks: 1, later: 2} {
			if got, want := s.lastSeen(id), noon.Add(time.Duration(minutes)*time.Minute); !got.Equal(want) {
				t.Errorf("last seen at %v, want %v", got, want)
			}
		}
		if len(seen.pending) > 0 {
			t.Errorf("%d are written again", len(seen.pending))
		}
	})
}

// TestSightingsThatWaitAreBounded: in an outage the number of devices does not grow, and those that are known go on.
func TestSightingsThatWaitAreBounded(t *testing.T) {
	seen := NewSeen(nil, clock.NewFake(noon), nil, testkit.Log(t))
	before, again := uuid.New(), uuid.New()
	batch := map[uuid.UUID]*licensing.Sighting{before: {DeviceID: before}, again: {DeviceID: again}}
	seen.pending[again] = &licensing.Sighting{DeviceID: again, At: noon}
	for range maxSeen - 1 {
		id := uuid.New()
		seen.pending[id] = &licensing.Sighting{DeviceID: id}
	}
	seen.putBack(batch)
	if len(seen.pending) > maxSeen || seen.pending[before] != nil || !seen.pending[again].At.Equal(noon) {
		t.Errorf("%d wait, %v", len(seen.pending), seen.pending[again])
	}
}

// TestAnEarlierSighting that another replica writes later is not the last one.
func TestAnEarlierSighting(t *testing.T) {
	eachSightings(t, func(t *testing.T, s *sightings) {
		plain, talks := s.device("plain"), s.device("talks")
		for i, minutes := range []int{2, 1} {
			at := noon.Add(time.Duration(minutes) * time.Minute)
			s.seen[i].Seen(licensing.Sighting{DeviceID: uuid.MustParse(plain), At: at})
			s.seen[i].Seen(licensing.Sighting{DeviceID: uuid.MustParse(talks), At: at, SessionData: []byte(`{}`)})
			s.seen[i].flush(t.Context())
		}
		for _, id := range []string{plain, talks} {
			if got, want := s.lastSeen(id), noon.Add(2*time.Minute); !got.Equal(want) {
				t.Errorf("last seen at %v, want %v", got, want)
			}
		}
	})
}
