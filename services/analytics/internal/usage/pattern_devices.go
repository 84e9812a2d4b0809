package usage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxListedDevices bounds the devices that one answer lists; those last seen come first.
const maxListedDevices = 500

// DevicePatterns is which devices a license is used on. Seen counts the window; ActiveNow those that hold a seat now.
// Slots is how many more may run by leases that need none.
type DevicePatterns struct {
	Seen           int             `json:"seen"`
	ActiveNow      int             `json:"active_now"`
	MaxDevices     *int            `json:"max_devices"`
	Slots          int             `json:"slots"`
	PeakConcurrent int             `json:"peak_concurrent"`
	New            int             `json:"new"`
	ChurnPerWeek   float64         `json:"churn_per_week"`
	List           []DevicePortion `json:"list"`
}

// DevicePortion is one device and its share of the use.
type DevicePortion struct {
	HardwareID string    `json:"hardware_id"`
	Name       string    `json:"name"`
	FirstSeen  time.Time `json:"first_seen"`
	LastSeen   time.Time `json:"last_seen"`
	Share      float64   `json:"share"`
	Versions   []string  `json:"versions"`
}

// Places is where a license is used. Countries and VPNShare need geographic data and are empty and null without it.
type Places struct {
	Countries []CountryShare `json:"countries"`
	Networks  int            `json:"networks"`
	VPNShare  *float64       `json:"vpn_share"`
}

// CountryShare is the share of a license's use that comes from a country.
type CountryShare struct {
	Country string  `json:"country"`
	Share   float64 `json:"share"`
}

func (p *DevicePatterns) seats() string {
	s := fmt.Sprintf("%d seats taken now", p.ActiveNow)
	if p.MaxDevices != nil {
		s = fmt.Sprintf("%d of %d seats taken now", p.ActiveNow, *p.MaxDevices)
	}
	if p.Slots > 0 {
		s += fmt.Sprintf(" and %d slots of leases beside them", p.Slots)
	}
	return s
}

// deviceTally gathers what patterns tell of the devices of a license, which come one by one: all of them are too many
// to be held.
type deviceTally struct {
	window    Window
	use       *DeviceUse
	told      DevicePatterns
	countries map[string]int64
}

func newDeviceTally(w Window, h *History) *deviceTally {
	return &deviceTally{window: w, use: h.Use, countries: map[string]int64{}, told: DevicePatterns{
		Seen:           len(h.Use.Uses),
		MaxDevices:     Limit(h.License.MaxDevices.Value),
		Slots:          h.License.Identity.Value.Slots,
		PeakConcurrent: h.Use.Peak,
		List:           []DevicePortion{},
	}}
}

// add takes a device, each once.
func (t *deviceTally) add(d *Device) {
	if d.Seat.Value {
		t.told.ActiveNow++
	}
	uses := t.use.Uses[d.HardwareID]
	if uses == 0 {
		return
	}
	if !d.FirstSeen.Before(t.window.From) {
		t.told.New++
	}
	if d.Country.Value != "" {
		t.countries[d.Country.Value] += uses
	}
	t.told.List = append(t.told.List, newDevicePortion(d, Share(uses, t.use.Total)))
	if len(t.told.List) == 2*maxListedDevices {
		t.cut()
	}
}

// cut keeps the devices that are listed.
func (t *deviceTally) cut() {
	slices.SortFunc(t.told.List, func(a, b DevicePortion) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.HardwareID, b.HardwareID))
	})
	t.told.List = t.told.List[:min(len(t.told.List), maxListedDevices)]
}

func (t *deviceTally) patterns() DevicePatterns {
	t.cut()
	t.told.ChurnPerWeek = round(float64(t.told.New)*7/float64(t.window.Days), 2)
	return t.told
}

func newDevicePortion(d *Device, part float64) DevicePortion {
	versions := make([]string, 0, len(d.Versions))
	for _, v := range d.Versions {
		versions = append(versions, v.Version)
	}
	return DevicePortion{
		HardwareID: d.HardwareID,
		Name:       d.Name.Value,
		FirstSeen:  d.FirstSeen,
		LastSeen:   d.LastSeen,
		Share:      part,
		Versions:   versions,
	}
}

func (t *deviceTally) countryShares() []CountryShare {
	total := int64(0)
	for _, uses := range t.countries {
		total += uses
	}
	shares := make([]CountryShare, 0, len(t.countries))
	for _, country := range slices.Sorted(maps.Keys(t.countries)) {
		shares = append(shares, CountryShare{country, Share(t.countries[country], total)})
	}
	slices.SortStableFunc(shares, func(a, b CountryShare) int { return cmp.Compare(b.Share, a.Share) })
	return shares
}
