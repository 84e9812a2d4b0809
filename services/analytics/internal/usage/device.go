package usage

import (
	"cmp"
	"slices"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// DeviceKey names a device on a license.
type DeviceKey struct {
	LicenseID, HardwareID string
}

// Latest is a value that was last said at a time; of two, the later holds, and at the same time the greater.
type Latest struct {
	Value string
	At    time.Time
}

// said is a value said at a time; an empty one was not said.
func said(value string, at time.Time) Latest {
	if value == "" {
		return Latest{}
	}
	return Latest{value, at}
}

func (l *Latest) merge(o Latest) {
	if o.Value == "" {
		return
	}
	if c := o.At.Compare(l.At); l.Value == "" || c > 0 || (c == 0 && o.Value > l.Value) {
		*l = o
	}
}

// AppVersion is a version of the application that a device ran, and when last.
type AppVersion struct {
	Version  string    `json:"version"`
	LastSeen time.Time `json:"last_seen"`
}

// Device is a device that was seen at work on a license, or that took or left a seat.
type Device struct {
	DeviceKey
	Name, OS, Country, Version Latest
	// FirstSeen and LastSeen are zero for a device that took a seat by transfer and was not at work yet.
	FirstSeen, LastSeen time.Time
	// Seat says whether the device holds a seat.
	Seat Versioned[bool]
	// Versions are those last run, newest first.
	Versions []AppVersion
	// Days are days of the device at work, like those of a license.
	Days []DeviceDay
}

// Merge adds what o knows.
func (d *Device) Merge(o *Device) {
	d.Name.merge(o.Name)
	d.OS.merge(o.OS)
	d.Country.merge(o.Country)
	d.Version.merge(o.Version)
	d.FirstSeen = clock.Earlier(d.FirstSeen, o.FirstSeen)
	d.LastSeen = clock.Later(d.LastSeen, o.LastSeen)
	d.Seat.merge(o.Seat)
	d.Versions = mergeVersions(d.Versions, o.Versions)
	d.Days = mergeDays(d.Days, o.Days)
}

func mergeVersions(a, b []AppVersion) []AppVersion {
	if len(b) == 0 {
		return a
	}
	merged := slices.Clone(a)
	for _, v := range b {
		i := slices.IndexFunc(merged, func(m AppVersion) bool { return m.Version == v.Version })
		if i < 0 {
			merged = append(merged, v)
			continue
		}
		merged[i].LastSeen = clock.Later(merged[i].LastSeen, v.LastSeen)
	}
	slices.SortFunc(merged, func(x, y AppVersion) int {
		return cmp.Or(y.LastSeen.Compare(x.LastSeen), cmp.Compare(y.Version, x.Version))
	})
	return merged[:min(len(merged), maxVersionsPerDevice)]
}

// devicesOf is what one event tells about devices: nothing, one, or both ends of a transfer
// or of a change of hardware ids.
func devicesOf(e *Event) []*Device {
	b := e
	seat := func(hardwareID string, taken bool) *Device {
		return &Device{DeviceKey: DeviceKey{b.LicenseID, hardwareID}, Seat: Versioned[bool]{taken, b.Version}}
	}
	switch {
	case e.Type == eventsv1.TypeLicenseTransferred:
		return []*Device{seat(b.FromHardwareID, false), seat(b.ToHardwareID, true)}
	case e.Type == eventsv1.TypeDeviceRebound:
		return []*Device{seat(b.FromHardwareID, false), seat(b.HardwareID, true)}
	case (e.Type == eventsv1.TypeDeviceDeactivated || e.Type == eventsv1.TypeDeviceCulled) && b.HardwareID != "":
		return []*Device{seat(b.HardwareID, false)}
	case !admits(e) || b.HardwareID == "":
		return nil
	}
	d := &Device{
		DeviceKey: DeviceKey{b.LicenseID, b.HardwareID},
		FirstSeen: e.At,
		LastSeen:  e.At,
		Name:      said(b.DeviceName, e.At),
		OS:        said(b.OS, e.At),
		Country:   said(b.Country, e.At),
		Version:   said(b.AppVersion, e.At),
	}
	d.Days = []DeviceDay{{DeviceDayKey{DayKey{b.LicenseID, DayOf(e.At)}, b.HardwareID}, 1 << e.At.Hour(), 1}}
	if b.AppVersion != "" {
		d.Versions = []AppVersion{{b.AppVersion, e.At}}
	}
	if e.Type == eventsv1.TypeLicenseActivated {
		d.Seat = Versioned[bool]{true, b.Version}
	}
	return []*Device{d}
}
