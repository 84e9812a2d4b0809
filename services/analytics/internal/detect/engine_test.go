package detect

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func slug(name string) string { return strings.ReplaceAll(name, " ", "_") }

// A kill and restart after any event must change nothing.
func TestSnapshotsChangeNothing(t *testing.T) {
	e := New()
	for _, st := range everyStory() {
		t.Run(slug(st.name), func(t *testing.T) {
			sc := st.play()
			obs := sc.ordered()
			if diff := gocmp.Diff(play(e, sc.license, obs), playRestarting(t, e, sc.license, obs)); diff != "" {
				t.Errorf("with restarts (-without +with):\n%s", diff)
			}
		})
	}
}

// playRestarting restarts after each of the first events, when a state is small and most of it is new, and then after
// each 17th: a number that no story's fleet, hours or turns share, so that in time it meets every kind of event.
func playRestarting(t *testing.T, e Engine, l License, obs []Observation) []Finding {
	t.Helper()
	var s LicenseState
	var out []Finding
	for i, o := range obs {
		if i < 500 || i%17 == 0 {
			data, err := s.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			s = LicenseState{}
			if err := s.UnmarshalBinary(data); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, e.License(&s, l, o)...)
	}
	return out
}

// shuffled delays each observation by up to two minutes.
func shuffled(obs []Observation, seed uint64) []Observation {
	rng := rand.New(rand.NewPCG(seed, 1))
	type arrival struct {
		at time.Time
		o  Observation
	}
	late := make([]arrival, len(obs))
	for i, o := range obs {
		late[i] = arrival{o.At.Add(time.Duration(rng.Int64N(int64(2 * time.Minute)))), o}
	}
	slices.SortStableFunc(late, func(a, b arrival) int { return a.at.Compare(b.at) })
	out := make([]Observation, len(obs))
	for i := range late {
		out[i] = late[i].o
	}
	return out
}

func kinds(found []Finding) []Kind {
	var out []Kind
	for _, f := range found {
		out = addDistinct(out, f.Type)
	}
	slices.Sort(out)
	return out
}

func TestDisorderChangesNoKinds(t *testing.T) {
	e := New()
	for _, st := range everyStory() {
		t.Run(slug(st.name), func(t *testing.T) {
			sc := st.play()
			obs := sc.ordered()
			want := kinds(play(e, sc.license, obs))
			for seed := range uint64(3) {
				found := play(e, sc.license, shuffled(obs, seed))
				for _, f := range found {
					checkFinding(t, f, obs)
				}
				if diff := gocmp.Diff(want, kinds(found)); diff != "" {
					t.Errorf("seed %d (-in order +shuffled):\n%s\n%s", seed, diff, reasons(found))
				}
			}
		})
	}
}

// After a broker outage all changes of state arrive first and the telemetry hours later.
func TestTelemetryAfterAnOutage(t *testing.T) {
	e := New()
	telemetry := func(o Observation) bool {
		return o.Type == eventsv1.TypeLicenseHeartbeat || o.Type == eventsv1.TypeLicenseValidated ||
			o.Type == eventsv1.TypeLicenseValidationFailed
	}
	for _, st := range everyStory() {
		if st.want != nil {
			continue
		}
		t.Run(slug(st.name), func(t *testing.T) {
			sc := st.play()
			obs := sc.ordered()
			slices.SortStableFunc(obs, func(a, b Observation) int {
				outage := func(o Observation) int { return dayIndex(o.At) * 4 }
				rank := func(o Observation) int {
					if telemetry(o) {
						return 1
					}
					return 0
				}
				return cmp.Or(cmp.Compare(outage(a), outage(b)), cmp.Compare(rank(a), rank(b)))
			})
			if found := play(e, sc.license, obs); len(found) > 0 {
				t.Errorf("an honest scenario became suspicious:\n%s", reasons(found))
			}
		})
	}
}

// What a place's backlog says of hours ago must not look like a jump back to it.
func TestBacklogIsNoJourney(t *testing.T) {
	sc := licensed(1)
	sc.runs(day(0, 11), day(0, 13), 5*time.Minute, "laptop", madrid, "")
	sc.runs(day(0, 6), day(0, 8), 5*time.Minute, "laptop", berlin, "")
	backlog := slices.Clone(sc.obs)
	if found := play(New(), sc.license, backlog); len(found) > 0 {
		t.Errorf("the flight from Berlin to Madrid became suspicious:\n%s", reasons(found))
	}
}

func TestUnknownCIIsExplained(t *testing.T) {
	sc := passedAround(2, 20, 6, func(int) where { return officeLine })
	found := play(New(), sc.license, sc.ordered())
	if len(found) == 0 || !slices.ContainsFunc(found[0].Considered, func(s string) bool {
		return strings.HasPrefix(s, "build jobs: short stays")
	}) {
		t.Errorf("build jobs were not considered: %+v", found)
	}
}

func TestOneOpenFindingPerKind(t *testing.T) {
	sc := passedAround(1, 10, 3, far)
	quiet := 60
	for i := range 12 { // a second bout after two months
		hw, at := fmt.Sprintf("again-%d", i), day(quiet+i/3, 8+float64(i%3))
		sc.activate(at, hw, far(i+3))
		sc.deactivate(at.Add(time.Hour), hw, far(i+3))
	}
	var churn []Finding
	for _, f := range play(New(), sc.license, sc.ordered()) {
		if f.Type == DeviceChurn {
			churn = append(churn, f)
		}
	}
	opened := map[string]int{}
	for i, f := range churn {
		if f.Status == StatusNew {
			opened[f.Key]++
			continue
		}
		prev := churn[i-1]
		if f.Key != prev.Key || !f.DetectedAt.Equal(prev.DetectedAt) || !f.FirstSeen.Equal(prev.FirstSeen) ||
			f.LastSeen.Before(prev.LastSeen) {
			t.Errorf("update %+v does not continue %+v", f, prev)
		}
	}
	if len(opened) != 2 {
		t.Errorf("%d findings opened, want one for each bout: %v", len(opened), opened)
	}
	for key, n := range opened {
		if n != 1 {
			t.Errorf("finding %s was opened %d times", key, n)
		}
	}
}

func TestSensitivity(t *testing.T) {
	sc := licensed(1)
	for d := range 4 {
		for i := range 3 {
			sc.refuse(day(d, 9+float64(i)), fmt.Sprintf("extra-%d", i), far(i))
		}
	}
	obs := sc.ordered()
	for _, tc := range []struct {
		factor float64
		found  bool
	}{{0.5, false}, {1, false}, {0, false}, {2, true}, {100, true}} {
		got := len(play(New().WithSensitivity(tc.factor), sc.license, obs)) > 0
		if got != tc.found {
			t.Errorf("sensitivity %v: found %v, want %v", tc.factor, got, tc.found)
		}
	}
}

// TestNewVersionOfADetector demands that what one detector remembers in another version, or not at all, is taken from
// a state made of the same events, and that of the others stays.
func TestNewVersionOfADetector(t *testing.T) {
	sc := passedAround(2, 12, 6, far)
	var stored, rebuilt LicenseState
	for _, o := range sc.ordered() {
		New().License(&stored, sc.license, o)
		New().License(&rebuilt, sc.license, o)
	}
	stored.memories[1].(*overuse).refusals = []dayCount{{1, 1}} // only the stored state says so
	before, err := stored.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	older := bytes.Replace(before, []byte("device_churn\x01"), []byte("device_churn\x00"), 1)
	var s LicenseState
	if err := s.UnmarshalBinary(older); err != nil || !s.Stale() || len(s.memories[0].evidence().Notes) != 0 {
		t.Fatalf("a state with churn of an older version: stale %v, %v", s.Stale(), err)
	}
	s.Adopt(&rebuilt)
	if after, err := s.MarshalBinary(); err != nil || s.Stale() || !bytes.Equal(before, after) {
		t.Errorf("after taking over from one that was made again the state differs: stale %v, %v", s.Stale(), err)
	}
}

// Old events replayed for a license whose limit was raised since must be judged by the limit of their time.
func TestLimitOfItsTime(t *testing.T) {
	sc := licensed(50)
	for d := range 6 {
		for i := range 6 {
			sc.add(day(d, 9+float64(i)), eventsv1.TypeLicenseDeviceLimitExceeded, fmt.Sprintf("extra-%d", i),
				far(i)).MaxDevices = 1
			sc.add(day(d, 9.5+float64(i)), eventsv1.TypeLicenseValidated, "own", home)
		}
	}
	if got := worst(play(New(), sc.license, sc.ordered())); got[SeatOveruse] == "" {
		t.Error("refusals under the old limit were not found")
	}
}
