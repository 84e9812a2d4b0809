package detect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

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
		*t = trail{FirstSeen: at(), Detected: at(), LastSeen: at(), Emitted: at(), Score: 99}
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
	if !reflect.DeepEqual(back, s) {
		t.Error("a full state is read back as another")
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
			r := runner{Device: rng.Uint64(), Roams: at(), FlapHour: at() / microsPerDay * 24, Flaps: 99, All: beat()}
			for range (i+1)*allSpread/maxDevices - i*allSpread/maxDevices {
				r.Networks = append(r.Networks, rng.Uint64())
			}
			r.Day, r.Came, r.Spread, r.Here, r.Left = at()/microsPerDay, at(), 0x7f, rng.Uint64(), rng.Uint64()
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
