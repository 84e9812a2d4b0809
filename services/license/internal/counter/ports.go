package counter

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps what was counted.
type Store interface {
	// Change locks a license, loads its counters and what the selection names, lets decide change them, and writes what
	// differs with its events. When decide fails nothing of it is written. Those that come at the same time share a
	// transaction, and those on one license a Ledger: decide must not wait, and may be called more than once.
	// licensing.ErrNotFound.
	Change(ctx context.Context, s Selection, decide func(*Ledger) error) error
	// Read reads a license and its counters as they are stored, without a lock; licensing.ErrNotFound.
	Read(ctx context.Context, licenseID string) (licensing.License, map[string]Counter, error)
	// Parts reads the devices that consumed most of a counter in a period, at most limit of them.
	Parts(ctx context.Context, licenseID string, c Counter, limit int) ([]DevicePart, error)
	// FindDevice reads a device by its hardware id; nil where it was never seen on the license.
	FindDevice(ctx context.Context, licenseID, hardwareID string) (*licensing.Device, error)
	// History reads one page of what administrators and the calendar did to a counter, newest first, and how much there
	// is.
	History(ctx context.Context, licenseID, name string, span licensing.Span) (licensing.Page[Entry], error)
}

// Selection is what a change needs beside the license and its counters. Empty members name nothing.
type Selection struct {
	LicenseID, HardwareID, OperationID, ReportID string
}

// DevicePart is a device and what it consumed.
type DevicePart struct {
	HardwareID string `json:"hardware_id"`
	Used       int64  `json:"used"`
}

// Operation is a consumption that may be repeated without effect, and undone once.
type Operation struct {
	ID string
	// Request is a hash of what was asked.
	Request string
	// HardwareID is what the device that carried it out is called now, or the device that has its seat by a transfer.
	HardwareID string
	At         time.Time
	Applied    []Applied
	// Answer is what was answered.
	Answer []State
	// UndoneAt is zero until the operation is undone.
	UndoneAt time.Time
}

// Applied is what an operation added to a counter in a period.
type Applied struct {
	Counter string `json:"counter"`
	Amount  int64  `json:"amount"`
	Period  int    `json:"period"`
	// Refunded is what an undo has taken back.
	Refunded int64 `json:"refunded,omitempty"`
}

// The ways in which a counter changes other than by consumption.
const (
	EntryPeriodEnded = "period_ended"
	EntryAdjusted    = "adjusted"
	EntrySet         = "set"
	EntryReset       = "reset"
)

// Entry is one line of the history of a counter.
type Entry struct {
	ID         string
	Counter    string
	Action     string
	At         time.Time
	UsedBefore int64
	UsedAfter  int64
	Reason     string
	// ActorID and ActorName are the administrator, empty for the calendar.
	ActorID, ActorName string
}
