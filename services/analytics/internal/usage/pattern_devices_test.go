package usage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFewDevicesAreHeld: of however many devices, in whatever order, those last seen are listed, all are counted, and
// few are kept meanwhile.
func TestFewDevicesAreHeld(t *testing.T) {
	const devices = 5*maxListedDevices + 7
	w := LastDays(time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC), 7)
	h := &History{License: &License{}, Use: NewDeviceUse()}
	for i := range devices {
		key := DeviceDayKey{DayKey: DayKey{Day: w.From}, HardwareID: fmt.Sprint(i)}
		h.Use.Add(&DeviceDay{DeviceDayKey: key, Uses: 2})
	}
	tally := newDeviceTally(w, h)
	for _, i := range rand.Perm(devices + 10) { // ten were not at work
		country := []string{"DE", "", "FR", "DE"}[i%4]
		tally.add(&Device{
			DeviceKey: DeviceKey{HardwareID: fmt.Sprint(i)}, Country: Latest{Value: country},
			FirstSeen: w.From.Add(time.Duration(i%2-1) * time.Second),
			LastSeen:  w.To.Add(-time.Duration(i/2) * time.Minute), // two at a time
			Seat:      Versioned[bool]{Value: i%5 == 0},
		})
		if n := cap(tally.told.List); n > 4*maxListedDevices {
			t.Fatalf("there is room for %d devices", n)
		}
	}
	p := tally.patterns()
	if p.Seen != devices || p.ActiveNow != (devices+10)/5+1 || p.New != devices/2 || len(p.List) != maxListedDevices {
		t.Errorf("%d seen, %d active, %d new, %d listed", p.Seen, p.ActiveNow, p.New, len(p.List))
	}
	for i := range p.List {
		pair := []string{fmt.Sprint(i &^ 1), fmt.Sprint(i | 1)}
		slices.Sort(pair)
		if p.List[i].HardwareID != pair[i%2] || p.List[i].Share != Share(2, 2*devices) {
			t.Fatalf("place %d is that of %+v", i, p.List[i])
		}
	}
	shares := tally.countryShares()
	if len(shares) != 2 || shares[0].Country != "DE" || shares[1].Country != "FR" || shares[0].Share < shares[1].Share {
		t.Errorf("countries: %+v", shares)
	}
}
