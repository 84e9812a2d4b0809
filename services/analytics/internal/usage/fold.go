package usage

import (
	"net/netip"
	"time"
)

// The steps of the fleet's series.
const (
	StepMinute = "minute"
	StepHour   = "hour"
	StepDay    = "day"
)

var steps = map[string]time.Duration{StepMinute: time.Minute, StepHour: time.Hour, StepDay: 24 * time.Hour}

// Bucket is one span of the fleet's series.
type Bucket struct {
	Step  string
	Start time.Time
}

// DayKey names a license's day; Day is its midnight in UTC.
type DayKey struct {
	LicenseID string
	Day       time.Time
}

// Day is what a license did on one UTC day. Hours counts validations and heartbeats by hour.
type Day struct {
	DayKey
	Counts
	Hours [24]int64
}

// Merge adds o.
func (d *Day) Merge(o *Day) {
	d.Counts.Add(o.Counts)
	for h, n := range o.Hours {
		d.Hours[h] += n
	}
}

// DeviceDayKey names a device's day on a license.
type DeviceDayKey struct {
	DayKey
	HardwareID string
}

// DeviceDay is a device's day: bit h of Hours is set when it was at work in hour h, Uses counts how often it was heard.
type DeviceDay struct {
	DeviceDayKey
	Hours uint32
	Uses  int64
}

// FailureKey names refusals with one code: of a license on the day that begins at Start, or of the whole fleet, with an empty
// LicenseID, in the hour that does.
type FailureKey struct {
	LicenseID string
	Start     time.Time
	Code      string
}

// NetworkKey names a block of addresses (/24, or /48 of IPv6) from which a license was used.
type NetworkKey struct {
	LicenseID, Network string
}

// Network is when a license was used from a network.
type Network struct {
	NetworkKey
	FirstSeen, LastSeen time.Time
	Uses                int64
}

// Merge adds o.
func (n *Network) Merge(o *Network) {
	n.FirstSeen, n.LastSeen = earlier(n.FirstSeen, o.FirstSeen), later(n.LastSeen, o.LastSeen)
	n.Uses += o.Uses
}

// Changes is what a set of events adds to the rollups. Folding the set in any order, or in parts that are merged, gives
// the same.
type Changes struct {
	Fleet      map[Bucket]*Counts
	Licenses   map[string]*License
	Days       map[DayKey]*Day
	Devices    map[DeviceKey]*Device
	DeviceDays map[DeviceDayKey]*DeviceDay
	Failures   map[FailureKey]int64
	Networks   map[NetworkKey]*Network
}

// Fold adds events up.
func Fold(events []Event) *Changes {
	c := &Changes{
		Fleet: map[Bucket]*Counts{}, Licenses: map[string]*License{}, Days: map[DayKey]*Day{}, Devices: map[DeviceKey]*Device{},
		DeviceDays: map[DeviceDayKey]*DeviceDay{}, Failures: map[FailureKey]int64{}, Networks: map[NetworkKey]*Network{},
	}
	for i := range events {
		c.addFleet(&events[i])
		if events[i].Body.LicenseID != "" {
			c.addLicense(&events[i])
		}
	}
	return c
}

func (c *Changes) addFleet(e *Event) {
	for step, span := range steps {
		bucket := Bucket{step, e.At.Truncate(span)}
		if c.Fleet[bucket] == nil {
			c.Fleet[bucket] = &Counts{}
		}
		c.Fleet[bucket].Add(countsOf(e.Type))
	}
	if code := failureCode(e); code != "" {
		c.Failures[FailureKey{Start: e.At.Truncate(time.Hour), Code: code}]++
	}
}

func (c *Changes) addLicense(e *Event) {
	key := DayKey{e.Body.LicenseID, DayOf(e.At)}
	merge(c.Licenses, key.LicenseID, licenseOf(e))
	day := &Day{DayKey: key, Counts: countsOf(e.Type)}
	day.Hours[e.At.Hour()] = day.Validations + day.Heartbeats
	merge(c.Days, key, day)
	if code := failureCode(e); code != "" {
		c.Failures[FailureKey{key.LicenseID, key.Day, code}]++
	}
	for _, d := range devicesOf(e) {
		merge(c.Devices, d.DeviceKey, d)
	}
	if admits(e.Type) {
		c.addWork(key, e)
	}
}

// addWork counts a device at work: its day, and the network that it came from.
func (c *Changes) addWork(key DayKey, e *Event) {
	if e.Body.HardwareID != "" {
		k := DeviceDayKey{key, e.Body.HardwareID}
		if c.DeviceDays[k] == nil {
			c.DeviceDays[k] = &DeviceDay{DeviceDayKey: k}
		}
		c.DeviceDays[k].Hours |= 1 << e.At.Hour()
		c.DeviceDays[k].Uses++
	}
	if network := networkOf(e.Body.IP); network != "" {
		k := NetworkKey{key.LicenseID, network}
		merge(c.Networks, k, &Network{k, e.At, e.At, 1})
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
