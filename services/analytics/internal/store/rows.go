package store

import (
	"encoding/json"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var licenseTable = table{"licenses", []column{
	{"license_id", "uuid", key}, {"customer_id", "text", replace}, {"product", "text", replace}, {"license_type", "text", replace},
	{"is_test", "boolean", replace}, {"identity_version", "bigint", replace}, {"max_devices", "bigint", replace},
	{"limit_version", "bigint", replace}, {"current_devices", "bigint", replace}, {"seats_version", "bigint", replace},
	{"is_active", "boolean", replace}, {"active_version", "bigint", replace}, {"expires_at", "timestamptz", replace},
	{"expiry_version", "bigint", replace}, {"created_at", "timestamptz", replace}, {"first_event_at", "timestamptz", replace},
	{"last_seen", "timestamptz", replace}, {"last_validated_at", "timestamptz", replace}, {"validations", "bigint", replace},
}}

type licenseKey struct {
	LicenseID string `json:"license_id"`
}

type licenseRow struct {
	LicenseID       string `json:"license_id"`
	CustomerID      string `json:"customer_id"`
	Product         string `json:"product"`
	LicenseType     string `json:"license_type"`
	IsTest          bool   `json:"is_test"`
	IdentityVersion int64  `json:"identity_version"`
	MaxDevices      int    `json:"max_devices"`
	LimitVersion    int64  `json:"limit_version"`
	CurrentDevices  int    `json:"current_devices"`
	SeatsVersion    int64  `json:"seats_version"`
	IsActive        bool   `json:"is_active"`
	ActiveVersion   int64  `json:"active_version"`
	ExpiresAt       stamp  `json:"expires_at"`
	ExpiryVersion   int64  `json:"expiry_version"`
	CreatedAt       stamp  `json:"created_at"`
	FirstEventAt    stamp  `json:"first_event_at"`
	LastSeen        stamp  `json:"last_seen"`
	LastValidatedAt stamp  `json:"last_validated_at"`
	Validations     int64  `json:"validations"`
}

func newLicenseRow(l *usage.License) licenseRow {
	id := l.Identity.Value
	return licenseRow{
		l.ID, id.CustomerID, id.Product, id.Type, id.IsTest, l.Identity.Version, l.MaxDevices.Value, l.MaxDevices.Version,
		l.Seats.Value, l.Seats.Version, l.Active.Value, l.Active.Version, at(l.ExpiresAt.Value), l.ExpiresAt.Version,
		at(l.CreatedAt), at(l.FirstEventAt), at(l.LastSeen), at(l.LastValidatedAt), l.Validations,
	}
}

func (r *licenseRow) license() *usage.License {
	l := &usage.License{ID: r.LicenseID, CreatedAt: r.CreatedAt.utc(), FirstEventAt: r.FirstEventAt.utc(), LastSeen: r.LastSeen.utc(),
		LastValidatedAt: r.LastValidatedAt.utc(), Validations: r.Validations}
	l.Identity.Value = usage.Identity{CustomerID: r.CustomerID, Product: r.Product, Type: r.LicenseType, IsTest: r.IsTest}
	l.Identity.Version = r.IdentityVersion
	l.MaxDevices.Value, l.MaxDevices.Version = r.MaxDevices, r.LimitVersion
	l.Seats.Value, l.Seats.Version = r.CurrentDevices, r.SeatsVersion
	l.Active.Value, l.Active.Version = r.IsActive, r.ActiveVersion
	l.ExpiresAt.Value, l.ExpiresAt.Version = r.ExpiresAt.utc(), r.ExpiryVersion
	return l
}

var fleetTable = table{"fleet", []column{
	{"step", "text", key}, {"starts_at", "timestamptz", key}, {"validations", "bigint", add}, {"failures", "bigint", add},
	{"activations", "bigint", add}, {"deactivations", "bigint", add}, {"heartbeats", "bigint", add}, {"events", "bigint", add},
}}

type fleetRow struct {
	Step          string `json:"step"`
	StartsAt      stamp  `json:"starts_at"`
	Validations   int64  `json:"validations"`
	Failures      int64  `json:"failures"`
	Activations   int64  `json:"activations"`
	Deactivations int64  `json:"deactivations"`
	Heartbeats    int64  `json:"heartbeats"`
	Events        int64  `json:"events"`
}

var dayTable = table{"license_days", []column{
	{"license_id", "uuid", key}, {"day", "timestamptz", key}, {"validations", "bigint", replace}, {"failures", "bigint", replace},
	{"activations", "bigint", replace}, {"deactivations", "bigint", replace}, {"heartbeats", "bigint", replace},
	{"events", "bigint", replace}, {"hours", "jsonb", replace},
}}

type dayKey struct {
	LicenseID string `json:"license_id"`
	Day       stamp  `json:"day"`
}

type dayRow struct {
	LicenseID     string  `json:"license_id"`
	Day           stamp   `json:"day"`
	Validations   int64   `json:"validations"`
	Failures      int64   `json:"failures"`
	Activations   int64   `json:"activations"`
	Deactivations int64   `json:"deactivations"`
	Heartbeats    int64   `json:"heartbeats"`
	Events        int64   `json:"events"`
	Hours         db.JSON `json:"hours"`
}

func newDayRow(d *usage.Day) (dayRow, error) {
	hours, err := json.Marshal(d.Hours)
	c := d.Counts
	return dayRow{d.LicenseID, at(d.Day), c.Validations, c.Failures, c.Activations, c.Deactivations, c.Heartbeats, c.Events, hours}, err
}

func (r *dayRow) day() (*usage.Day, error) {
	d := &usage.Day{DayKey: usage.DayKey{LicenseID: r.LicenseID, Day: r.Day.utc()}, Counts: usage.Counts{Validations: r.Validations,
		Failures: r.Failures, Activations: r.Activations, Deactivations: r.Deactivations, Heartbeats: r.Heartbeats, Events: r.Events}}
	return d, json.Unmarshal(r.Hours, &d.Hours)
}

var deviceTable = table{"devices", []column{
	{"license_id", "uuid", key}, {"hardware_id", "text", key}, {"name", "text", replace}, {"name_at", "timestamptz", replace},
	{"os", "text", replace}, {"os_at", "timestamptz", replace}, {"country", "text", replace}, {"country_at", "timestamptz", replace},
	{"app_version", "text", replace}, {"app_version_at", "timestamptz", replace}, {"first_seen", "timestamptz", replace},
	{"last_seen", "timestamptz", replace}, {"has_seat", "boolean", replace}, {"seat_version", "bigint", replace}, {"versions", "jsonb", replace},
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
}

func newDeviceRow(d *usage.Device) (deviceRow, error) {
	if d.Versions == nil {
		d.Versions = []usage.AppVersion{}
	}
	versions, err := json.Marshal(d.Versions)
	return deviceRow{
		d.LicenseID, d.HardwareID, d.Name.Value, at(d.Name.At), d.OS.Value, at(d.OS.At), d.Country.Value, at(d.Country.At),
		d.Version.Value, at(d.Version.At), at(d.FirstSeen), at(d.LastSeen), d.Seat.Value, d.Seat.Version, versions,
	}, err
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

var deviceDayTable = table{"device_days", []column{
	{"license_id", "uuid", key}, {"day", "timestamptz", key}, {"hardware_id", "text", key}, {"hours", "bigint", or}, {"uses", "bigint", add},
}}

type deviceDayRow struct {
	LicenseID  string `json:"license_id"`
	Day        stamp  `json:"day"`
	HardwareID string `json:"hardware_id"`
	Hours      uint32 `json:"hours"`
	Uses       int64  `json:"uses"`
}

var networkTable = table{"networks", []column{
	{"license_id", "uuid", key}, {"network", "text", key}, {"first_seen", "timestamptz", first}, {"last_seen", "timestamptz", latest}, {"uses", "bigint", add},
}}

type networkRow struct {
	LicenseID string `json:"license_id"`
	Network   string `json:"network"`
	FirstSeen stamp  `json:"first_seen"`
	LastSeen  stamp  `json:"last_seen"`
	Uses      int64  `json:"uses"`
}

var licenseFailureTable = table{"license_failures", []column{
	{"license_id", "uuid", key}, {"day", "timestamptz", key}, {"error_code", "text", key}, {"failures", "bigint", add},
}}

type licenseFailureRow struct {
	LicenseID string `json:"license_id"`
	Day       stamp  `json:"day"`
	ErrorCode string `json:"error_code"`
	Failures  int64  `json:"failures"`
}

var fleetFailureTable = table{"fleet_failures", []column{
	{"starts_at", "timestamptz", key}, {"error_code", "text", key}, {"failures", "bigint", add},
}}

type fleetFailureRow struct {
	StartsAt  stamp  `json:"starts_at"`
	ErrorCode string `json:"error_code"`
	Failures  int64  `json:"failures"`
}

var inboxTable = table{"inbox", []column{{"event_id", "uuid", key}, {"expires_at", "timestamptz", replace}}}

type inboxRow struct {
	EventID   string `json:"event_id"`
	ExpiresAt stamp  `json:"expires_at"`
}

var eventTable = table{"events", []column{
	{"event_id", "uuid", replace}, {"type", "text", replace}, {"occurred_at", "timestamptz", replace}, {"license_id", "uuid", replace}, {"data", "jsonb", replace},
}}

type eventRow struct {
	EventID    string  `json:"event_id"`
	Type       string  `json:"type"`
	OccurredAt stamp   `json:"occurred_at"`
	LicenseID  *string `json:"license_id"`
	Data       db.JSON `json:"data"`
}

var stateTable = table{"detector_states", []column{
	{"subject", "text", key}, {"state", "bytea", replace}, {"updated_at", "timestamptz", replace},
}}

type stateKey struct {
	Subject string `json:"subject"`
}

type stateRow struct {
	Subject   string `json:"subject"`
	State     blob   `json:"state"`
	UpdatedAt stamp  `json:"updated_at"`
}
