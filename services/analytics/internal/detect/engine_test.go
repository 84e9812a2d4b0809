package detect

import (
	"bytes"
	"cmp"
	"errors"
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
			want := play(e, sc.license, obs)
			for _, k := range []int{1, 7, 100} {
				if diff := gocmp.Diff(want, playRestarting(t, e, sc.license, obs, k)); diff != "" {
					t.Fatalf("restart after every %d events (-without +with):\n%s", k, diff)
				}
			}
		})
	}
}

func playRestarting(t *testing.T, e Engine, l License, obs []Observation, k int) []Finding {
	t.Helper()
	var s LicenseState
	var out []Finding
	for i, o := range obs {
		if i%k == 0 {
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

// noise makes the worst for a state: nothing ever repeats.
func noise(i int, rng *rand.Rand) Observation {
	types := []string{eventsv1.TypeLicenseActivated, eventsv1.TypeDeviceDeactivated, eventsv1.TypeLicenseHeartbeat,
		eventsv1.TypeLicenseDeviceLimitExceeded, eventsv1.TypeLicenseTransferred, eventsv1.TypeLicenseValidationFailed,
		eventsv1.TypeLicenseOfflineTokenIssued}
	o := Observation{
		EventID: fmt.Sprintf("%064x", rng.Uint64()), Type: types[rng.IntN(len(types))], LicenseID: "lic-1",
		At:         monday.Add(time.Duration(i)*7*time.Second + time.Duration(rng.Int64N(1e9))),
		HardwareID: fmt.Sprint(rng.Uint32()), SessionID: fmt.Sprint(rng.Uint64()),
		IP:      fmt.Sprintf("%d.%d.%d.%d", 1+rng.IntN(220), rng.IntN(256), rng.IntN(256), rng.IntN(256)),
		Country: "DE", Lat: rng.Float64()*180 - 90, Lon: rng.Float64()*360 - 180, ASN: rng.Uint32(), NetKind: "isp",
		FromHardwareID: fmt.Sprint(rng.Uint32()), ToHardwareID: fmt.Sprint(rng.Uint32()),
		ErrorCode:    codeDeviceLimitExceeded,
		OfflineUntil: monday.AddDate(3, 0, 0),
	}
	if rng.IntN(2) == 0 {
		o.HardwareID = fmt.Sprint("steady-", rng.IntN(90)) // fills the streams of each device
	}
	return o
}

func TestStateStaysSmall(t *testing.T) {
	e, rng := New(), rand.New(rand.NewPCG(1, 2))
	var s LicenseState
	var a AddressState
	largest, largestAddress := 0, 0
	for i := range 100_000 {
		o := noise(i, rng)
		e.License(&s, License{ID: "lic-1", MaxDevices: 5}, o)
		o.IP, o.LicenseID, o.ErrorCode, o.KeyHash = "203.0.113.9", "", codeLicenseNotFound, fmt.Sprint(rng.Uint64())
		e.Address(&a, o)
		if i%500 != 0 {
			continue
		}
		data, _ := s.MarshalBinary()
		largest = max(largest, len(data))
		data, _ = a.MarshalBinary()
		largestAddress = max(largestAddress, len(data))
	}
	t.Logf("license state at most %d bytes, address state at most %d", largest, largestAddress)
	if largest > 32<<10 || largestAddress > 16<<10 {
		t.Errorf("license state %d bytes, address state %d; want at most 32 and 16 KiB", largest, largestAddress)
	}
}

// A state with every list full, ids of the longest, and times spread over ten years still keeps the bound.
func TestFullStateStaysSmall(t *testing.T) {
	rng, now := rand.New(rand.NewPCG(1, 2)), day(3650, 0).UnixMicro()
	at := func() int64 { return now - rng.Int64N(3650*microsPerDay) }
	var s LicenseState
	s.begin()
	s.history = history{clock: now, first: at(), seatsAt: at()}
	for range maxDevices {
		s.devices = append(s.devices, device{
			ID:      rng.Uint64(),
			First:   at(),
			Last:    at(),
			Since:   at(),
			Left:    at(),
			Offline: at(),
			Run:     at(),
			Block:   rng.Uint64(),
		})
	}
	for range maxPlaces {
		s.places = append(s.places, visited{place{rng.Uint64(), -9000, -18000, 1 << 31, 0x5a5a, kindVPN}, at(), at()})
	}
	for range maxArrivals {
		s.arrivals = append(s.arrivals, arrival{rng.Uint64(), rng.Uint64(), at(), at(), rng.Uint64(), 31})
		s.departures = append(s.departures, at())
	}
	for i, m := range s.memories {
		fill(m, rng, at)
		t := m.evidence()
		*t = trail{at(), at(), at(), at(), 99, nil}
		for range maxNotes {
			t.Notes = append(t.Notes, note{strings.Repeat("x", maxEventID), at(),
				uint64(len(licenseDetectors[i].words) - 1)})
		}
	}
	data, err := s.MarshalBinary()
	if err != nil || len(data) > 32<<10 {
		t.Errorf("full state: %d bytes, error %v; want at most 32 KiB", len(data), err)
	}
	var back LicenseState
	if err := back.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if again, _ := back.MarshalBinary(); !slices.Equal(again, data) {
		t.Error("a full state does not survive the round trip")
	}
}

// fill makes every list of a memory full.
func fill(m memory, rng *rand.Rand, at func() int64) {
	switch m := m.(type) {
	case *overuse:
		for range maxDenied {
			m.denied = append(m.denied, denied{rng.Uint64(), rng.Uint64(), rng.Uint64(), at(), at(), 1 << 20, true})
		}
	case *sharing:
		beat := func() rhythm { return rhythm{Last: at(), Every: 30 * microsPerDay, Beats: 5} }
		for i := range maxDevices {
			r := runner{Device: rng.Uint64(), Roams: at(), FlapHour: at() / microsPerDay * 24, Flaps: 99, Last: at()}
			for range (i+1)*allStreams/maxDevices - i*allStreams/maxDevices {
				r.Streams = append(r.Streams, stream{Block: rng.Uint64(), Session: rng.Uint64(), rhythm: beat()})
			}
			m.runners = append(m.runners, r)
		}
		for range maxMarks {
			m.overSeats, m.overlaps = append(m.overSeats, at()), append(m.overlaps, overlap{at(), sharingFar})
		}
	case *dormant:
		m.lastUse, m.longestGap = at(), at()
		for range maxWake {
			w := &m.wake
			w.Devices, w.Blocks, w.Days = append(w.Devices, rng.Uint64()), append(w.Blocks, rng.Uint64()),
				append(w.Days, at()/microsPerDay)
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

func TestUnmarshalRefusesForeignBytes(t *testing.T) {
	var s LicenseState
	sc := passedAround(2, 5, 3, far)
	e := New()
	for _, o := range sc.ordered() {
		e.License(&s, sc.license, o)
	}
	good, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(good)
	other[0]++
	for name, data := range map[string][]byte{
		"empty":         nil,
		"other version": other,
		"cut":           good[:len(good)-1],
		"longer":        append(slices.Clone(good), 0),
	} {
		kept := s
		if err := kept.UnmarshalBinary(data); !errors.Is(err, ErrState) {
			t.Errorf("%s: error %v, want ErrState", name, err)
		}
		if again, _ := kept.MarshalBinary(); !slices.Equal(again, good) {
			t.Errorf("%s: a refused state changed the receiver", name)
		}
	}
}

func FuzzLicenseState(f *testing.F) {
	e, rng := New(), rand.New(rand.NewPCG(1, 2))
	var s LicenseState
	for i := range 300 {
		if i%60 == 0 {
			data, _ := s.MarshalBinary()
			f.Add(data)
		}
		e.License(&s, License{ID: "lic-1", MaxDevices: 5}, noise(i, rng))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s LicenseState
		if err := s.UnmarshalBinary(data); err != nil {
			return
		}
		once, err := s.MarshalBinary()
		if err != nil {
			t.Fatalf("a state that was read cannot be written: %v", err)
		}
		var again LicenseState
		if err := again.UnmarshalBinary(once); err != nil {
			t.Fatalf("own bytes are refused: %v", err)
		}
		if twice, _ := again.MarshalBinary(); !slices.Equal(once, twice) {
			t.Fatal("writing is not stable")
		}
		for i := range 3 {
			e.License(&s, License{ID: "lic-1", MaxDevices: 5}, noise(i, rand.New(rand.NewPCG(3, 4))))
		}
	})
}

func FuzzAddressState(f *testing.F) {
	e := New()
	var s AddressState
	for i := range 40 {
		e.Address(&s, guess(i, fmt.Sprint("key-", i), "hw", "203.0.113.9"))
	}
	data, _ := s.MarshalBinary()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var s AddressState
		if s.UnmarshalBinary(data) != nil {
			return
		}
		once, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again AddressState
		if err := again.UnmarshalBinary(once); err != nil {
			t.Fatalf("own bytes are refused: %v", err)
		}
		e.Address(&s, guess(3, "key", "hw", "203.0.113.9"))
	})
}

func BenchmarkLicense(b *testing.B) {
	office := licensed(5)
	for i := range 5 {
		office.works(0, 20, fmt.Sprintf("pc-%d", i), officeLine)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var worst []Observation
	for i := range 20_000 {
		worst = append(worst, noise(i, rng))
	}
	for name, obs := range map[string][]Observation{"office": office.ordered(), "noise": worst} {
		b.Run(name, func(b *testing.B) {
			e, l := New(), License{ID: "lic-1", MaxDevices: 5}
			var s LicenseState
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(obs) == 0 {
					s = LicenseState{}
				}
				e.License(&s, l, obs[i%len(obs)])
			}
		})
	}
}

func BenchmarkAddress(b *testing.B) {
	e := New()
	var s AddressState
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o := guess(i, "", "hw", "203.0.113.9")
		o.KeyHash = string(rune(i))
		e.Address(&s, o)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	e, rng := New(), rand.New(rand.NewPCG(1, 2))
	var s LicenseState
	for i := range 20_000 {
		e.License(&s, License{ID: "lic-1", MaxDevices: 5}, noise(i, rng))
	}
	b.ReportAllocs()
	for b.Loop() {
		data, err := s.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		var back LicenseState
		if err := back.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}
