package store

import (
	"encoding/json"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var deviceTable = table{"devices", []column{
	{"license_id", "uuid", key}, {"hardware_id", "text", key}, {"name", "text", replace}, {"name_at", "timestamptz", replace},
	{"os", "text", replace}, {"os_at", "timestamptz", replace}, {"country", "text", replace}, {"country_at", "timestamptz", replace},
	{"app_version", "text", replace}, {"app_version_at", "timestamptz", replace}, {"first_seen", "timestamptz", replace},
	{"last_seen", "timestamptz", replace}, {"has_seat", "boolean", replace}, {"seat_version", "bigint", replace}, {"versions", "jsonb", replace},
	{"day", "timestamptz", replace}, {"day_hours", "bigint", replace}, {"day_uses", "bigint", replace},
}}

type deviceKey struct {
	LicenseID  string `json:"license_id"`
	HardwareID string `json:"hardware_id"`
}

type deviceRow struct {
	LicenseID    string  `json:"license_id"`
	HardwareID   string  `json:"hardware_id"`
	Name         string  `json:"name"`
	NameAt       stamp   `json:"name_at"`
	OS           string  `json:"os"`
	OSAt         stamp   `json:"os_at"`
	Country      string  `json:"country"`
	CountryAt    stamp   `json:"country_at"`
	AppVersion   string  `json:"app_version"`
	AppVersionAt stamp   `json:"app_version_at"`
	FirstSeen    stamp   `json:"first_seen"`
	LastSeen     stamp   `json:"last_seen"`
	HasSeat      bool    `json:"has_seat"`
	SeatVersion  int64   `json:"seat_version"`
	Versions     db.JSON `json:"versions"`

	// The latest day at work; the zero one says that there was none.
	Day      stamp  `json:"day"`
	DayHours uint32 `json:"day_hours"`
	DayUses  int64  `json:"day_uses"`
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
		d.LicenseID, d.HardwareID, d.Name.Value, at(d.Name.At), d.OS.Value, at(d.OS.At), d.Country.Value, at(d.Country.At),
		d.Version.Value, at(d.Version.At), at(d.FirstSeen), at(d.LastSeen), d.Seat.Value, d.Seat.Version, versions,
		at(day.Day), day.Hours, day.Uses,
	}, err
}

// known is the device with its latest day.
func (r *deviceRow) known() (*usage.Device, error) {
	d, err := r.device()
	if row := (deviceDayRow{r.LicenseID, r.Day, r.HardwareID, r.DayHours, r.DayUses}); !r.Day.IsZero() {
		d.Days = []usage.DeviceDay{row.day()}
	}
	return d, err
}

func (r *deviceRow) device() (*usage.Device, error) {
	d := &usage.Device{
		DeviceKey: usage.DeviceKey{LicenseID: r.LicenseID, HardwareID: r.HardwareID},
		Name:      usage.Latest{Value: r.Name, At: r.NameAt.utc()}, OS: usage.Latest{Value: r.OS, At: r.OSAt.utc()},
		Country: usage.Latest{Value: r.Country, At: r.CountryAt.utc()}, Version: usage.Latest{Value: r.AppVersion, At: r.AppVersionAt.utc()},
		FirstSeen: r.FirstSeen.utc(), LastSeen: r.LastSeen.utc(),
		Seat: usage.Versioned[bool]{Value: r.HasSeat, Version: r.SeatVersion},
	}
	return d, json.Unmarshal(r.Versions, &d.Versions)
}

var deviceDayTable = table{"device_past_days", []column{
	{"license_id", "uuid", key}, {"day", "timestamptz", key}, {"hardware_id", "text", key}, {"hours", "bigint", or}, {"uses", "bigint", add},
}}

type deviceDayRow struct {
	LicenseID  string `json:"license_id"`
	Day        stamp  `json:"day"`
	HardwareID string `json:"hardware_id"`
	Hours      uint32 `json:"hours"`
	Uses       int64  `json:"uses"`
}

func newDeviceDayRow(d *usage.DeviceDay) deviceDayRow {
	return deviceDayRow{d.LicenseID, at(d.Day), d.HardwareID, d.Hours, d.Uses}
}

func (r *deviceDayRow) day() usage.DeviceDay {
	key := usage.DeviceDayKey{DayKey: usage.DayKey{LicenseID: r.LicenseID, Day: r.Day.utc()}, HardwareID: r.HardwareID}
	return usage.DeviceDay{DeviceDayKey: key, Hours: r.Hours, Uses: r.Uses}
}

var networkTable = table{"networks", []column{
	{"license_id", "uuid", key}, {"network", "text", key}, {"last_day", "timestamptz", latest},
}}

type networkRow struct {
	LicenseID string `json:"license_id"`
	Network   string `json:"network"`
	LastDay   stamp  `json:"last_day"`
}
