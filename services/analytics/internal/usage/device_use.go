package usage

import (
	"math/bits"
	"time"
)

// DeviceUse sums up the days of the devices of one license, so that none of them need be held: a year of many devices
// has millions.
type DeviceUse struct {
	// Uses are those of each device that was at work, by hardware id, and Total of all.
	Uses  map[string]int64
	Total int64
	// Peak is the largest number of devices at work within one hour.
	Peak int
	days map[time.Time]*dayUse
}

// dayUse counts the devices at work on a day, and within each of its hours.
type dayUse struct {
	devices int
	hours   [24]int32
}

// NewDeviceUse returns that of no device.
func NewDeviceUse() *DeviceUse {
	return &DeviceUse{Uses: map[string]int64{}, days: map[time.Time]*dayUse{}}
}

// Add takes one day of a device, each once.
func (u *DeviceUse) Add(d *DeviceDay) {
	day := u.days[d.Day]
	if day == nil {
		day = &dayUse{}
		u.days[d.Day] = day
	}
	day.devices++
	for mask := d.Hours; mask != 0; mask &= mask - 1 {
		busy := &day.hours[bits.TrailingZeros32(mask)]
		*busy++
		u.Peak = max(u.Peak, int(*busy))
	}
	u.Uses[d.HardwareID] += d.Uses
	u.Total += d.Uses
}

// On is how many devices were at work on a day.
func (u *DeviceUse) On(day time.Time) int {
	if d := u.days[day]; d != nil {
		return d.devices
	}
	return 0
}
