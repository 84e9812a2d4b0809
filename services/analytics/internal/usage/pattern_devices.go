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

func newDevicePatterns(w Window, h *History) DevicePatterns {
	p := DevicePatterns{
		MaxDevices:     Limit(h.License.MaxDevices.Value),
		Slots:          h.License.Identity.Value.Slots,
		PeakConcurrent: h.Use.Peak,
		List:           []DevicePortion{},
	}
	uses := h.Use.Uses
	p.Seen = len(uses)
	for i := range h.Devices {
		d := &h.Devices[i]
		if d.Seat.Value {
			p.ActiveNow++
		}
		if uses[d.HardwareID] == 0 {
			continue
		}
		if !d.FirstSeen.Before(w.From) {
			p.New++
		}
		p.List = append(p.List, newDevicePortion(d, Share(uses[d.HardwareID], h.Use.Total)))
	}
	slices.SortFunc(p.List, func(a, b DevicePortion) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.HardwareID, b.HardwareID))
	})
	p.List = p.List[:min(len(p.List), maxListedDevices)]
	p.ChurnPerWeek = round(float64(p.New)*7/float64(w.Days), 2)
	return p
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

func countryShares(h *History) []CountryShare {
	uses, total := map[string]int64{}, int64(0)
	for i := range h.Devices {
		d := &h.Devices[i]
		if n := h.Use.Uses[d.HardwareID]; n > 0 && d.Country.Value != "" {
			uses[d.Country.Value] += n
			total += n
		}
	}
	shares := make([]CountryShare, 0, len(uses))
	for _, country := range slices.Sorted(maps.Keys(uses)) {
		shares = append(shares, CountryShare{country, Share(uses[country], total)})
	}
	slices.SortStableFunc(shares, func(a, b CountryShare) int { return cmp.Compare(b.Share, a.Share) })
	return shares
}
