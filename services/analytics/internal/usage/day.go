package usage

import (
	"slices"
	"time"
)

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

// Date is the day's midnight.
func (d *Day) Date() time.Time { return d.Day }

// Merge adds o.
func (d *Day) Merge(o *Day) {
	d.Counts.Add(o.Counts)
	for h, n := range o.Hours {
		d.Hours[h] += n
	}
}

// dayOf is the day of one event.
func dayOf(e *Event) Day {
	day := Day{DayKey: DayKey{e.LicenseID, DayOf(e.At)}, Counts: countsOf(e.Type)}
	day.Hours[e.At.Hour()] = day.Validations + day.Heartbeats
	return day
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

// Date is the day's midnight.
func (d *DeviceDay) Date() time.Time { return d.Day }

// Merge adds o.
func (d *DeviceDay) Merge(o *DeviceDay) {
	d.Hours |= o.Hours
	d.Uses += o.Uses
}

// dated is the day of something.
type dated[T any] interface {
	*T
	Merge(*T)
	Date() time.Time
}

// mergeDays adds to a, which is in the order of time, the days of b, and returns it.
func mergeDays[T any, P dated[T]](a, b []T) []T {
	for i := range b {
		day, at := P(&b[i]).Date(), len(a)
		for at > 0 && P(&a[at-1]).Date().After(day) {
			at--
		}
		if at > 0 && P(&a[at-1]).Date().Equal(day) {
			P(&a[at-1]).Merge(&b[i])
			continue
		}
		a = slices.Insert(a, at, b[i])
	}
	return a
}
