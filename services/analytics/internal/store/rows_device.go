package store

import (
	"encoding/json"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var deviceTable = tableOf[deviceRow]("devices")

type deviceKey struct {
	LicenseID  string
	HardwareID string
}

type deviceRow struct {
	LicenseID    string  `col:"license_id,uuid,key"`
	HardwareID   string  `col:"hardware_id,text,key"`
	Name         string  `col:"name,text"`
	NameAt       stamp   `col:"name_at,timestamptz"`
	OS           string  `col:"os,text"`
	OSAt         stamp   `col:"os_at,timestamptz"`
	Country      string  `col:"country,text"`
	CountryAt    stamp   `col:"country_at,timestamptz"`
	AppVersion   string  `col:"app_version,text"`
	AppVersionAt stamp   `col:"app_version_at,timestamptz"`
	FirstSeen    stamp   `col:"first_seen,timestamptz"`
	LastSeen     stamp   `col:"last_seen,timestamptz"`
	HasSeat      bool    `col:"has_seat,boolean"`
	SeatVersion  int64   `col:"seat_version,bigint"`
	Versions     db.JSON `col:"versions,jsonb"`

	// The latest day at work; the zero one says that there was none.
	Day      stamp  `col:"day,timestamptz"`
	DayHours uint32 `col:"day_hours,bigint"`
	DayUses  int64  `col:"day_uses,bigint"`
}

func newDeviceRow(d *usage.Device) (deviceRow, error) {
	versions, err := []byte("[]"), error(nil)
	if len(d.Versions) > 0 {
		versions, err = json.Marshal(d.Versions)
	}
	var day usage.DeviceDay
	if n := len(d.Days); n > 0 {
		day = d.Days[n-1]
	}
	return deviceRow{
		LicenseID:    d.LicenseID,
		HardwareID:   d.HardwareID,
		Name:         d.Name.Value,
		NameAt:       at(d.Name.At),
		OS:           d.OS.Value,
		OSAt:         at(d.OS.At),
		Country:      d.Country.Value,
		CountryAt:    at(d.Country.At),
		AppVersion:   d.Version.Value,
		AppVersionAt: at(d.Version.At),
		FirstSeen:    at(d.FirstSeen),
		LastSeen:     at(d.LastSeen),
		HasSeat:      d.Seat.Value,
		SeatVersion:  d.Seat.Version,
		Versions:     versions,
		Day:          at(day.Day),
		DayHours:     day.Hours,
		DayUses:      day.Uses,
	}, err
}

// known is the device with its latest day.
func (r *deviceRow) known() (*usage.Device, error) {
	d, err := r.device()
	if row := (deviceDayRow{
		LicenseID:  r.LicenseID,
		Day:        r.Day,
		HardwareID: r.HardwareID,
		Hours:      r.DayHours,
		Uses:       r.DayUses,
	}); !r.Day.IsZero() {
		d.Days = []usage.DeviceDay{row.day()}
	}
	return d, err
}

func (r *deviceRow) device() (*usage.Device, error) {
	d := &usage.Device{
		DeviceKey: usage.DeviceKey{LicenseID: r.LicenseID, HardwareID: r.HardwareID},
		Name:      usage.Latest{Value: r.Name, At: r.NameAt.utc()},
		OS:        usage.Latest{Value: r.OS, At: r.OSAt.utc()},
		Country:   usage.Latest{Value: r.Country, At: r.CountryAt.utc()},
		Version:   usage.Latest{Value: r.AppVersion, At: r.AppVersionAt.utc()},
		FirstSeen: r.FirstSeen.utc(),
		LastSeen:  r.LastSeen.utc(),
		Seat:      usage.Versioned[bool]{Value: r.HasSeat, Version: r.SeatVersion},
	}
	return d, json.Unmarshal(r.Versions, &d.Versions)
}

var deviceDayTable = tableOf[deviceDayRow]("device_past_days")

type deviceDayRow struct {
	LicenseID  string `col:"license_id,uuid,key"`
	Day        stamp  `col:"day,timestamptz,key"`
	HardwareID string `col:"hardware_id,text,key"`
	Hours      uint32 `col:"hours,bigint,or"`
	Uses       int64  `col:"uses,bigint,add"`
}

func newDeviceDayRow(d *usage.DeviceDay) deviceDayRow {
	return deviceDayRow{
		LicenseID:  d.LicenseID,
		Day:        at(d.Day),
		HardwareID: d.HardwareID,
		Hours:      d.Hours,
		Uses:       d.Uses,
	}
}

func (r *deviceDayRow) day() usage.DeviceDay {
	key := usage.DeviceDayKey{DayKey: usage.DayKey{LicenseID: r.LicenseID, Day: r.Day.utc()}, HardwareID: r.HardwareID}
	return usage.DeviceDay{DeviceDayKey: key, Hours: r.Hours, Uses: r.Uses}
}

var networkTable = tableOf[networkRow]("networks")

type networkRow struct {
	LicenseID string `col:"license_id,uuid,key"`
	Network   string `col:"network,text,key"`
	LastDay   stamp  `col:"last_day,timestamptz,latest"`
}
