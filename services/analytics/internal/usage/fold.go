package usage

import (
	"maps"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// The steps of the fleet's series.
const (
	StepMinute = "minute"
	StepHour   = "hour"
	StepDay    = "day"
)

// Bucket is one span of the fleet's series.
type Bucket struct {
	Step  string
	Start time.Time
}

// FailureKey names refusals with one code: of a license on the day that begins at Start, or of the whole fleet, with
// an empty LicenseID, in the hour that does.
type FailureKey struct {
	LicenseID string
	Start     time.Time
	Code      string
}

// NetworkKey names a block of addresses (/24, or /48 of IPv6) from which a license was used.
type NetworkKey struct {
	LicenseID, Network string
}

// Changes is what a set of events adds to the rollups. Folding the set in any order, or in parts that are merged, gives
// the same.
type Changes struct {
	Rollups
	Fleet    map[Bucket]*Counts
	Failures map[FailureKey]int64
	// PastDays and PastDeviceDays are over, as far as anybody knows, and were never stored by themselves.
	PastDays       []Day
	PastDeviceDays []DeviceDay
	// LateDays and LateDeviceDays came after a later day had begun: they add to days that may be stored.
	LateDays       []Day
	LateDeviceDays []DeviceDay
}

// Fold adds events up.
func Fold(events []Event) *Changes {
	c := &Changes{Rollups: NewRollups(), Fleet: map[Bucket]*Counts{}, Failures: map[FailureKey]int64{}}
	for i := range events {
		c.addFleet(&events[i])
		if events[i].LicenseID != "" {
			c.addLicense(&events[i])
		}
	}
	c.sumFleet()
	return c
}

// Complete adds what was known before, so that the licenses and devices are whole rows with their latest day; their
// other days are set apart, and networks that were used on the same day before are dropped.
func (c *Changes) Complete(before Rollups) {
	for id, l := range c.Licenses {
		old := before.Licenses[id]
		if old != nil {
			l.Merge(old)
		}
		latest := len(l.Days) - 1
		for _, day := range l.Days[:latest] {
			if old != nil && day.Day.Before(old.Days[0].Day) {
				c.LateDays = append(c.LateDays, day)
			} else {
				c.PastDays = append(c.PastDays, day)
			}
		}
		l.Days = l.Days[latest:]
	}
	for k, d := range c.Devices {
		c.completeDevice(d, before.Devices[k])
	}
	for k, day := range c.Networks {
		if !day.After(before.Networks[k]) {
			delete(c.Networks, k)
		}
	}
}

// completeDevice is Complete for a device, which may have no day: it was not at work yet.
func (c *Changes) completeDevice(d, old *Device) {
	before := time.Time{}
	if old != nil {
		d.Merge(old)
		if len(old.Days) > 0 {
			before = old.Days[0].Day
		}
	}
	latest := max(0, len(d.Days)-1)
	for _, day := range d.Days[:latest] {
		if day.Day.Before(before) {
			c.LateDeviceDays = append(c.LateDeviceDays, day)
		} else {
			c.PastDeviceDays = append(c.PastDeviceDays, day)
		}
	}
	d.Days = d.Days[latest:]
}

// addFleet counts the event in its minute.
func (c *Changes) addFleet(e *Event) {
	c.fleet(Bucket{StepMinute, e.At.Truncate(time.Minute)}).Add(countsOf(e.Type))
	if code := failureCode(e); code != "" {
		c.Failures[FailureKey{Start: e.At.Truncate(time.Hour), Code: code}]++
	}
}

func (c *Changes) fleet(b Bucket) *Counts {
	n := c.Fleet[b]
	if n == nil {
		n = &Counts{}
		c.Fleet[b] = n
	}
	return n
}

// sumFleet adds the minutes up to hours and days.
func (c *Changes) sumFleet() {
	minutes := maps.Clone(c.Fleet)
	for b, n := range minutes {
		c.fleet(Bucket{StepHour, b.Start.Truncate(time.Hour)}).Add(*n)
		c.fleet(Bucket{StepDay, DayOf(b.Start)}).Add(*n)
	}
}

func (c *Changes) addLicense(e *Event) {
	l := licenseOf(e)
	merge(c.Licenses, l.ID, l)
	if code := failureCode(e); code != "" {
		c.Failures[FailureKey{l.ID, DayOf(e.At), code}]++
	}
	for _, d := range devicesOf(e) {
		merge(c.Devices, d.DeviceKey, d)
	}
	if !admits(e) {
		return
	}
	if network := networkOf(e.IP); network != "" && !e.ViaProxy {
		k := NetworkKey{l.ID, network}
		c.Networks[k] = clock.Later(c.Networks[k], DayOf(e.At))
	}
}

func merge[K comparable, V interface {
	*T
	Merge(V)
}, T any](m map[K]V, k K, v V) {
	if old, ok := m[k]; ok {
		old.Merge(v)
		return
	}
	m[k] = v
}

// networkOf is the block that an address belongs to, or "" when it is none.
func networkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	bits := 48
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
