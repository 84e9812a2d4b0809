package store

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

// counterRow mirrors the table counters.
type counterRow struct {
	LicenseID   string
	Name        string
	Used        int64
	Period      int
	PeriodStart *time.Time
	ResetsAt    *time.Time
	Schedule    string
	Announced   int
}

func newCounterRow(licenseID string, c counter.Counter) counterRow {
	return counterRow{
		LicenseID:   licenseID,
		Name:        c.Name,
		Used:        c.Used,
		Period:      c.Period,
		PeriodStart: nullable(c.PeriodStart),
		ResetsAt:    nullable(c.ResetsAt),
		Schedule:    c.Schedule,
		Announced:   c.Announced,
	}
}

func (r *counterRow) counter() counter.Counter {
	return counter.Counter{
		Name:        r.Name,
		Used:        r.Used,
		Period:      r.Period,
		PeriodStart: value(r.PeriodStart),
		ResetsAt:    value(r.ResetsAt),
		Schedule:    r.Schedule,
		Announced:   r.Announced,
	}
}

// partRow mirrors the table counter_devices.
type partRow struct {
	LicenseID  string
	Counter    string
	HardwareID string
	Period     int
	Used       int64
}

// operationRow mirrors the table counter_operations.
type operationRow struct {
	LicenseID   string
	OperationID string
	Request     string
	HardwareID  string
	CreatedAt   time.Time
	Applied     []counter.Applied `gorm:"serializer:json"`
	Answer      []counter.State   `gorm:"serializer:json"`
	UndoneAt    *time.Time
}

func newOperationRow(licenseID string, o *counter.Operation) operationRow {
	return operationRow{
		LicenseID:   licenseID,
		OperationID: o.ID,
		Request:     o.Request,
		HardwareID:  o.HardwareID,
		CreatedAt:   o.At,
		Applied:     o.Applied,
		Answer:      o.Answer,
		UndoneAt:    nullable(o.UndoneAt),
	}
}

func (r *operationRow) operation() *counter.Operation {
	return &counter.Operation{
		ID:         r.OperationID,
		Request:    r.Request,
		HardwareID: r.HardwareID,
		At:         r.CreatedAt.UTC(),
		Applied:    r.Applied,
		Answer:     r.Answer,
		UndoneAt:   value(r.UndoneAt),
	}
}

// entryRow mirrors the table counter_history.
type entryRow struct {
	LicenseID string
	counter.Entry
}
