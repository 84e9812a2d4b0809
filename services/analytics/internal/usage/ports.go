package usage

import (
	"context"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// Store is what the answers need from the rollups.
type Store interface {
	// License returns ErrLicenseNotFound for one that was never seen.
	License(ctx context.Context, id string) (*License, error)
	// History also holds the days that the profile of the window's first day needs.
	History(ctx context.Context, l *License, w Window) (*History, error)
	// Devices calls each for the license's devices, of which there may be very many, in no order.
	Devices(ctx context.Context, licenseID string, each func(*Device)) error
	// Days returns those from a moment on that have events, oldest first.
	Days(ctx context.Context, licenseID string, from time.Time) ([]Day, error)
	// Report goes through all licenses and devices.
	Report(ctx context.Context, q ReportQuery) (*ReportFacts, error)
	// Page is the licenses of one page of a report.
	Page(ctx context.Context, q ReportQuery) ([]LicenseUsage, error)
	Overview(ctx context.Context, now time.Time) (*Overview, error)
	// Fleet returns the spans that have events, oldest first.
	Fleet(ctx context.Context, step string, from time.Time) ([]FleetPoint, error)
	Scores(ctx context.Context, licenseID string, from time.Time) ([]DayScore, error)
}

// Log is the received events and what was found in them. It is not the event log: that is the outbox of the service
// which made the change.
type Log interface {
	// Events calls each for the license's events in [from, to], in the order of time and id.
	Events(ctx context.Context, licenseID string, from, to time.Time, each func(*Event) error) error
	// NewestFrom is from when on the license has no more than n events in [from, to], so that they are the newest.
	NewestFrom(ctx context.Context, licenseID string, from, to time.Time, n int) (time.Time, error)
	// SnapshotAt is the license's last event before a moment that carries its whole state, or the first after it,
	// because old events are dropped; nil where there is neither.
	SnapshotAt(ctx context.Context, licenseID string, at time.Time) (*Event, error)
	// Refusals are the license's last events since a moment that tell of a refused validation, activation or lease,
	// newest first, at most limit of them.
	Refusals(ctx context.Context, licenseID string, since time.Time, limit int) ([]Event, error)
	// CountSince counts the license's validations and failures since a moment.
	CountSince(ctx context.Context, licenseID string, since time.Time) (Counts, error)
	// Anomalies are a page, newest first.
	Anomalies(ctx context.Context, q AnomalyQuery) ([]Anomaly, error)
	// Record enters findings, announces what is new and returns how many that were.
	Record(ctx context.Context, findings []detect.Finding, now time.Time) (int, error)
	// ChangeAnomaly changes one anomaly and its license's risk, and publishes the change's entry of the audit log;
	// ErrAnomalyNotFound when there is none. change may be called again when the transaction is repeated.
	ChangeAnomaly(ctx context.Context, id string, now time.Time, change AnomalyChange) (*Anomaly, error)
	CountAnomalies(ctx context.Context, since time.Time) (open, recent int64, err error)
}

// AnomalyChange changes an anomaly, and returns the change's entry of the audit log, nil when there was none.
type AnomalyChange func(*Anomaly) *eventsv1.AuditRecorded
