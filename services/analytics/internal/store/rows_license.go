package store

import (
	"encoding/binary"
	"fmt"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var licenseTable = table{"licenses", []column{
	{"license_id", "uuid", key}, {"customer_id", "text", replace}, {"product", "text", replace}, {"license_type", "text", replace},
	{"is_test", "boolean", replace}, {"identity_version", "bigint", replace}, {"max_devices", "bigint", replace},
	{"limit_version", "bigint", replace}, {"current_devices", "bigint", replace}, {"seats_version", "bigint", replace},
	{"is_active", "boolean", replace}, {"active_version", "bigint", replace}, {"expires_at", "timestamptz", replace},
	{"expiry_version", "bigint", replace}, {"created_at", "timestamptz", replace}, {"first_event_at", "timestamptz", replace},
	{"last_seen", "timestamptz", replace}, {"last_validated_at", "timestamptz", replace}, {"validations", "bigint", replace},
	{"day", "timestamptz", replace}, {"day_validations", "bigint", replace}, {"day_failures", "bigint", replace},
	{"day_activations", "bigint", replace}, {"day_deactivations", "bigint", replace}, {"day_heartbeats", "bigint", replace},
	{"day_events", "bigint", replace}, {"day_hours", "bytea", replace},
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

	// The latest day.
	Day              stamp `json:"day"`
	DayValidations   int64 `json:"day_validations"`
	DayFailures      int64 `json:"day_failures"`
	DayActivations   int64 `json:"day_activations"`
	DayDeactivations int64 `json:"day_deactivations"`
	DayHeartbeats    int64 `json:"day_heartbeats"`
	DayEvents        int64 `json:"day_events"`
	DayHours         blob  `json:"day_hours"`
}

func newLicenseRow(l *usage.License) licenseRow {
	id, day := l.Identity.Value, newDayRow(&l.Days[len(l.Days)-1])
	return licenseRow{
		l.ID, id.CustomerID, id.Product, id.Type, id.IsTest, l.Identity.Version, l.MaxDevices.Value, l.MaxDevices.Version,
		l.Seats.Value, l.Seats.Version, l.Active.Value, l.Active.Version, at(l.ExpiresAt.Value), l.ExpiresAt.Version,
		at(l.CreatedAt), at(l.FirstEventAt), at(l.LastSeen), at(l.LastValidatedAt), l.Validations,
		day.Day, day.Validations, day.Failures, day.Activations, day.Deactivations, day.Heartbeats, day.Events, day.Hours,
	}
}

// usedTable is what use alone changes of a license: on most days nothing else does.
var usedTable = table{"licenses", []column{
	{"license_id", "uuid", key}, {"max_devices", "bigint", replace}, {"limit_version", "bigint", replace},
	{"current_devices", "bigint", replace}, {"seats_version", "bigint", replace}, {"last_seen", "timestamptz", replace},
	{"last_validated_at", "timestamptz", replace}, {"validations", "bigint", replace},
	{"day", "timestamptz", replace}, {"day_validations", "bigint", replace}, {"day_failures", "bigint", replace},
	{"day_activations", "bigint", replace}, {"day_deactivations", "bigint", replace}, {"day_heartbeats", "bigint", replace},
	{"day_events", "bigint", replace}, {"day_hours", "bytea", replace},
}}

type usedRow struct {
	LicenseID        string `json:"license_id"`
	MaxDevices       int    `json:"max_devices"`
	LimitVersion     int64  `json:"limit_version"`
	CurrentDevices   int    `json:"current_devices"`
	SeatsVersion     int64  `json:"seats_version"`
	LastSeen         stamp  `json:"last_seen"`
	LastValidatedAt  stamp  `json:"last_validated_at"`
	Validations      int64  `json:"validations"`
	Day              stamp  `json:"day"`
	DayValidations   int64  `json:"day_validations"`
	DayFailures      int64  `json:"day_failures"`
	DayActivations   int64  `json:"day_activations"`
	DayDeactivations int64  `json:"day_deactivations"`
	DayHeartbeats    int64  `json:"day_heartbeats"`
	DayEvents        int64  `json:"day_events"`
	DayHours         blob   `json:"day_hours"`
}

func newUsedRow(l *usage.License) usedRow {
	day := newDayRow(&l.Days[len(l.Days)-1])
	return usedRow{
		l.ID, l.MaxDevices.Value, l.MaxDevices.Version, l.Seats.Value, l.Seats.Version, at(l.LastSeen), at(l.LastValidatedAt), l.Validations,
		day.Day, day.Validations, day.Failures, day.Activations, day.Deactivations, day.Heartbeats, day.Events, day.Hours,
	}
}

// onlyUsed says whether the rows of l and of what it was before differ in the columns of usedTable only.
func onlyUsed(l, old *usage.License) bool {
	return l.Identity.Version == old.Identity.Version && l.Active.Version == old.Active.Version && l.ExpiresAt.Version == old.ExpiresAt.Version &&
		l.CreatedAt.Equal(old.CreatedAt) && l.FirstEventAt.Equal(old.FirstEventAt)
}

// known is the license with its latest day.
func (r *licenseRow) known() (*usage.License, error) {
	row := dayRow{r.LicenseID, r.Day, r.DayValidations, r.DayFailures, r.DayActivations, r.DayDeactivations, r.DayHeartbeats, r.DayEvents, r.DayHours}
	day, err := row.day()
	l := r.license()
	l.Days = []usage.Day{day}
	return l, err
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

var dayTable = table{"license_past_days", []column{
	{"license_id", "uuid", key}, {"day", "timestamptz", key}, {"validations", "bigint", replace}, {"failures", "bigint", replace},
	{"activations", "bigint", replace}, {"deactivations", "bigint", replace}, {"heartbeats", "bigint", replace},
	{"events", "bigint", replace}, {"hours", "bytea", replace},
}}

type dayKey struct {
	LicenseID string `json:"license_id"`
	Day       stamp  `json:"day"`
}

type dayRow struct {
	LicenseID     string `json:"license_id"`
	Day           stamp  `json:"day"`
	Validations   int64  `json:"validations"`
	Failures      int64  `json:"failures"`
	Activations   int64  `json:"activations"`
	Deactivations int64  `json:"deactivations"`
	Heartbeats    int64  `json:"heartbeats"`
	Events        int64  `json:"events"`
	Hours         blob   `json:"hours"`
}

func newDayRow(d *usage.Day) dayRow {
	hours := make([]byte, 0, 2*len(d.Hours))
	for _, n := range d.Hours {
		hours = binary.AppendUvarint(hours, uint64(n))
	}
	c := d.Counts
	return dayRow{d.LicenseID, at(d.Day), c.Validations, c.Failures, c.Activations, c.Deactivations, c.Heartbeats, c.Events, hours}
}

func (r *dayRow) day() (usage.Day, error) {
	d := usage.Day{DayKey: usage.DayKey{LicenseID: r.LicenseID, Day: r.Day.utc()}, Counts: usage.Counts{Validations: r.Validations,
		Failures: r.Failures, Activations: r.Activations, Deactivations: r.Deactivations, Heartbeats: r.Heartbeats, Events: r.Events}}
	hours := r.Hours
	for h := range d.Hours {
		n, size := binary.Uvarint(hours)
		if size <= 0 {
			return d, fmt.Errorf("the hours of %s on %s are damaged", r.LicenseID, r.Day)
		}
		d.Hours[h], hours = int64(n), hours[size:]
	}
	return d, nil
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
