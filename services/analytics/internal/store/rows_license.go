package store

import (
	"encoding/binary"
	"fmt"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var licenseTable = tableOf[licenseRow]("licenses")

type licenseKey struct {
	LicenseID string
}

type licenseRow struct {
	LicenseID       string `col:"license_id,uuid,key"`
	CustomerID      string `col:"customer_id,text"`
	Product         string `col:"product,text"`
	LicenseType     string `col:"license_type,text"`
	IsTest          bool   `col:"is_test,boolean"`
	Slots           int    `col:"slots,bigint"`
	IdentityVersion int64  `col:"identity_version,bigint"`
	MaxDevices      int    `col:"max_devices,bigint"`
	LimitVersion    int64  `col:"limit_version,bigint"`
	CurrentDevices  int    `col:"current_devices,bigint"`
	SeatsVersion    int64  `col:"seats_version,bigint"`
	IsActive        bool   `col:"is_active,boolean"`
	ActiveVersion   int64  `col:"active_version,bigint"`
	StartsAt        stamp  `col:"starts_at,timestamptz"`
	ExpiresAt       stamp  `col:"expires_at,timestamptz"`
	GraceHours      int    `col:"grace_hours,bigint"`
	UsableUntil     stamp  `col:"usable_until,timestamptz"`
	SuspendedAt     stamp  `col:"suspended_at,timestamptz"`
	SuspendedUntil  stamp  `col:"suspended_until,timestamptz"`
	ExpiryVersion   int64  `col:"expiry_version,bigint"`
	CreatedAt       stamp  `col:"created_at,timestamptz"`
	FirstEventAt    stamp  `col:"first_event_at,timestamptz"`
	LastSeen        stamp  `col:"last_seen,timestamptz"`
	LastValidatedAt stamp  `col:"last_validated_at,timestamptz"`
	Validations     int64  `col:"validations,bigint"`

	// The latest day.
	Day              stamp `col:"day,timestamptz"`
	DayValidations   int64 `col:"day_validations,bigint"`
	DayFailures      int64 `col:"day_failures,bigint"`
	DayActivations   int64 `col:"day_activations,bigint"`
	DayDeactivations int64 `col:"day_deactivations,bigint"`
	DayHeartbeats    int64 `col:"day_heartbeats,bigint"`
	DayEvents        int64 `col:"day_events,bigint"`
	DayHours         blob  `col:"day_hours,bytea"`
}

func newLicenseRow(l *usage.License) licenseRow {
	id, span, day := l.Identity.Value, l.Span.Value, newDayRow(&l.Days[len(l.Days)-1])
	return licenseRow{
		LicenseID:        l.ID,
		CustomerID:       id.CustomerID,
		Product:          id.Product,
		LicenseType:      id.Type,
		IsTest:           id.IsTest,
		Slots:            id.Slots,
		IdentityVersion:  l.Identity.Version,
		MaxDevices:       l.MaxDevices.Value,
		LimitVersion:     l.MaxDevices.Version,
		CurrentDevices:   l.Seats.Value,
		SeatsVersion:     l.Seats.Version,
		IsActive:         l.Active.Value,
		ActiveVersion:    l.Active.Version,
		StartsAt:         at(span.StartsAt),
		ExpiresAt:        at(span.ExpiresAt),
		GraceHours:       span.GraceHours,
		UsableUntil:      at(span.UsableUntil()),
		SuspendedAt:      at(span.SuspendedAt),
		SuspendedUntil:   at(span.SuspendedUntil),
		ExpiryVersion:    l.Span.Version,
		CreatedAt:        at(l.CreatedAt),
		FirstEventAt:     at(l.FirstEventAt),
		LastSeen:         at(l.LastSeen),
		LastValidatedAt:  at(l.LastValidatedAt),
		Validations:      l.Validations,
		Day:              day.Day,
		DayValidations:   day.Validations,
		DayFailures:      day.Failures,
		DayActivations:   day.Activations,
		DayDeactivations: day.Deactivations,
		DayHeartbeats:    day.Heartbeats,
		DayEvents:        day.Events,
		DayHours:         day.Hours,
	}
}

// usedTable is what use alone changes of a license: on most days nothing else does.
var usedTable = tableOf[usedRow]("licenses")

type usedRow struct {
	LicenseID        string `col:"license_id,uuid,key"`
	MaxDevices       int    `col:"max_devices,bigint"`
	LimitVersion     int64  `col:"limit_version,bigint"`
	CurrentDevices   int    `col:"current_devices,bigint"`
	SeatsVersion     int64  `col:"seats_version,bigint"`
	LastSeen         stamp  `col:"last_seen,timestamptz"`
	LastValidatedAt  stamp  `col:"last_validated_at,timestamptz"`
	Validations      int64  `col:"validations,bigint"`
	Day              stamp  `col:"day,timestamptz"`
	DayValidations   int64  `col:"day_validations,bigint"`
	DayFailures      int64  `col:"day_failures,bigint"`
	DayActivations   int64  `col:"day_activations,bigint"`
	DayDeactivations int64  `col:"day_deactivations,bigint"`
	DayHeartbeats    int64  `col:"day_heartbeats,bigint"`
	DayEvents        int64  `col:"day_events,bigint"`
	DayHours         blob   `col:"day_hours,bytea"`
}

func newUsedRow(l *usage.License) usedRow {
	day := newDayRow(&l.Days[len(l.Days)-1])
	return usedRow{
		LicenseID:        l.ID,
		MaxDevices:       l.MaxDevices.Value,
		LimitVersion:     l.MaxDevices.Version,
		CurrentDevices:   l.Seats.Value,
		SeatsVersion:     l.Seats.Version,
		LastSeen:         at(l.LastSeen),
		LastValidatedAt:  at(l.LastValidatedAt),
		Validations:      l.Validations,
		Day:              day.Day,
		DayValidations:   day.Validations,
		DayFailures:      day.Failures,
		DayActivations:   day.Activations,
		DayDeactivations: day.Deactivations,
		DayHeartbeats:    day.Heartbeats,
		DayEvents:        day.Events,
		DayHours:         day.Hours,
	}
}

// onlyUsed says whether the rows of l and of what it was before differ in the columns of usedTable only.
func onlyUsed(l, old *usage.License) bool {
	return l.Identity.Version == old.Identity.Version && l.Active.Version == old.Active.Version &&
		l.Span.Version == old.Span.Version &&
		l.CreatedAt.Equal(old.CreatedAt) && l.FirstEventAt.Equal(old.FirstEventAt)
}

// known is the license with its latest day.
func (r *licenseRow) known() (*usage.License, error) {
	row := dayRow{
		LicenseID:     r.LicenseID,
		Day:           r.Day,
		Validations:   r.DayValidations,
		Failures:      r.DayFailures,
		Activations:   r.DayActivations,
		Deactivations: r.DayDeactivations,
		Heartbeats:    r.DayHeartbeats,
		Events:        r.DayEvents,
		Hours:         r.DayHours,
	}
	day, err := row.day()
	l := r.license()
	l.Days = []usage.Day{day}
	return l, err
}

func (r *licenseRow) license() *usage.License {
	l := &usage.License{
		ID:              r.LicenseID,
		CreatedAt:       r.CreatedAt.utc(),
		FirstEventAt:    r.FirstEventAt.utc(),
		LastSeen:        r.LastSeen.utc(),
		LastValidatedAt: r.LastValidatedAt.utc(),
		Validations:     r.Validations,
	}
	l.Identity.Value = usage.Identity{
		CustomerID: r.CustomerID,
		Product:    r.Product,
		Type:       r.LicenseType,
		IsTest:     r.IsTest,
		Slots:      r.Slots,
	}
	l.Identity.Version = r.IdentityVersion
	l.MaxDevices.Value, l.MaxDevices.Version = r.MaxDevices, r.LimitVersion
	l.Seats.Value, l.Seats.Version = r.CurrentDevices, r.SeatsVersion
	l.Active.Value, l.Active.Version = r.IsActive, r.ActiveVersion
	l.Span.Value, l.Span.Version = usage.Span{
		StartsAt:       r.StartsAt.utc(),
		ExpiresAt:      r.ExpiresAt.utc(),
		GraceHours:     r.GraceHours,
		SuspendedAt:    r.SuspendedAt.utc(),
		SuspendedUntil: r.SuspendedUntil.utc(),
	}, r.ExpiryVersion
	return l
}

var dayTable = tableOf[dayRow]("license_past_days")

type dayKey struct {
	LicenseID string
	Day       stamp
}

type dayRow struct {
	LicenseID     string `col:"license_id,uuid,key"`
	Day           stamp  `col:"day,timestamptz,key"`
	Validations   int64  `col:"validations,bigint"`
	Failures      int64  `col:"failures,bigint"`
	Activations   int64  `col:"activations,bigint"`
	Deactivations int64  `col:"deactivations,bigint"`
	Heartbeats    int64  `col:"heartbeats,bigint"`
	Events        int64  `col:"events,bigint"`
	Hours         blob   `col:"hours,bytea"`
}

func newDayRow(d *usage.Day) dayRow {
	hours := make([]byte, 0, 2*len(d.Hours))
	for _, n := range d.Hours {
		hours = binary.AppendUvarint(hours, uint64(n))
	}
	c := d.Counts
	return dayRow{
		LicenseID:     d.LicenseID,
		Day:           at(d.Day),
		Validations:   c.Validations,
		Failures:      c.Failures,
		Activations:   c.Activations,
		Deactivations: c.Deactivations,
		Heartbeats:    c.Heartbeats,
		Events:        c.Events,
		Hours:         hours,
	}
}

func (r *dayRow) day() (usage.Day, error) {
	d := usage.Day{
		DayKey: usage.DayKey{LicenseID: r.LicenseID, Day: r.Day.utc()},
		Counts: usage.Counts{Validations: r.Validations,
			Failures: r.Failures, Activations: r.Activations, Deactivations: r.Deactivations, Heartbeats: r.Heartbeats,
			Events: r.Events},
	}
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

var licenseFailureTable = tableOf[licenseFailureRow]("license_failures")

type licenseFailureRow struct {
	LicenseID string `col:"license_id,uuid,key"`
	Day       stamp  `col:"day,timestamptz,key"`
	ErrorCode string `col:"error_code,text,key"`
	Failures  int64  `col:"failures,bigint,add"`
}
