package ingest

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Store is what ingest needs from persistence.
type Store interface {
	// TakeOver makes the caller the one consumer, under a new epoch, and says how far the consumption has come.
	TakeOver(ctx context.Context) (usage.Progress, error)
	// Unsettled reports whether events were taken in that are not part of every stored detector state, all of before a
	// time.
	Unsettled(ctx context.Context, since time.Time) (bool, error)
	// Taken looks events up in the inbox: the ids of those that were taken in before.
	Taken(ctx context.Context, events []usage.Event) (map[string]bool, error)
	// Rollups reads those of the licenses and devices that are known.
	Rollups(ctx context.Context, licenses []string, devices []usage.DeviceKey) (usage.Rollups, error)
	// States reads what the detectors remembered of subjects; those without memory are absent.
	States(ctx context.Context, subjects []string) (map[string]usage.State, error)
	// ReceivedAfter reads the next received events after last: those of one license in the order of time and id, or, if
	// licenseID is empty, all in the order of position, time and id. Of last only position, time and id count; without
	// an id it stands before all of its position, or of its time.
	ReceivedAfter(ctx context.Context, last usage.Received, licenseID string, limit int) ([]usage.Received, error)
	// Erasures reads the licenses of erased customers, by their ids, the earliest erasure first.
	Erasures(ctx context.Context) (map[string][]usage.Erasure, error)
	// Erase deletes from rollups, detector states, anomalies and the received events what tells of persons, and notes
	// that it did. It may be repeated, and after a failure has to be.
	Erase(ctx context.Context, e *usage.Erasure) error
	// Describe enters findings about what was taken in before. It fails with usage.ErrFenced when the epoch is over:
	// what an erasure took away must not come back.
	Describe(ctx context.Context, now time.Time, epoch int64, findings []detect.Finding) error
	// Write commits the batch: all or nothing. It fails with usage.ErrFenced when the epoch is over, and with
	// usage.ErrRepeated when an event was taken in before.
	Write(ctx context.Context, now time.Time, b *usage.Batch) error
}
