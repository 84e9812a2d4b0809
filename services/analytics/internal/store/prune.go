package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// minutesKept is how long the fleet's series is kept by the minute, hoursKept by the hour.
const (
	minutesKept = 48 * time.Hour
	hoursKept   = 90 * 24 * time.Hour
	// addressesKept is how long the detectors remember an address that fell silent. They look back a day at most.
	addressesKept = 7 * 24 * time.Hour
	// changesKept is for how many changes of its license a device is remembered that left a seat and was never at work,
	// as one that goes by a new id each time: an event of its seat may still come late.
	changesKept = 1000
)

// Prune forgets what has expired, in small portions, and returns how many rows. How old received events may be says the
// setting LATCHKEY_RETENTION_DAYS (config.go of the service), but none goes that the detectors need to start again; the
// other days of Expiry are in its jobs.go.
func (s *Store) Prune(ctx context.Context, x usage.Expiry) (pruned int64, err error) {
	for _, p := range []struct {
		table, condition string
		args             []any
	}{
		{"events", "occurred_at < ? AND position <= (SELECT coalesce(max(replay_after), 0) FROM consumer)",
			[]any{x.Events}},
		{"inbox", "expires_at < ?", []any{x.Now}},
		{"telemetry_inbox", "expires_at < ?", []any{x.Now}},
		{"detector_states", "updated_at < ?", []any{x.States}},
		{"detector_states", "subject LIKE 'ip:%' AND updated_at < ?", []any{x.Now.Add(-addressesKept)}},
		{"devices", "NOT has_seat AND last_seen < ?", []any{x.States}},
		{"devices", "NOT has_seat AND last_seen IS NULL AND seat_version + ? <= " +
			"(SELECT l.seats_version FROM licenses l WHERE l.license_id = devices.license_id)", []any{changesKept}},
		{"anomalies", "closed_at < ?", []any{x.Rollups}},
		{"networks", "last_day < ?", []any{x.States}},
		{"fleet", "step = ? AND starts_at < ?", []any{usage.StepMinute, x.Now.Add(-minutesKept)}},
		{"fleet", "step = ? AND starts_at < ?", []any{usage.StepHour, x.Now.Add(-hoursKept)}},
		{"fleet_failures", "starts_at < ?", []any{x.Now.Add(-hoursKept)}},
		{"license_past_days", "day < ?", []any{x.Rollups}},
		{"license_failures", "day < ?", []any{x.Rollups}},
		{"device_past_days", "day < ?", []any{x.Rollups}},
		{"risk_scores", "day < ?", []any{x.Rollups}},
	} {
		n, err := s.prune(ctx, p.table, p.condition, p.args)
		if pruned += n; err != nil {
			return pruned, fmt.Errorf("prune %s: %w", p.table, err)
		}
	}
	return pruned, nil
}

// prune deletes by the rows' physical names, which needs no key: ctid on PostgreSQL, rowid on SQLite.
func (s *Store) prune(ctx context.Context, table, condition string, args []any) (pruned int64, err error) {
	const portion = 5000
	query := "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + " WHERE " + condition +
		" LIMIT ?)"
	if s.db.Engine() == db.Postgres {
		query = "DELETE FROM " + table + " WHERE ctid = ANY (ARRAY(SELECT ctid FROM " + table + " WHERE " + condition +
			" LIMIT ?))"
	}
	for {
		var n int64
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			result := tx.Exec(query, append(append([]any{}, args...), portion)...)
			n = result.RowsAffected
			return result.Error
		})
		if pruned += n; err != nil || n < portion {
			return pruned, err
		}
	}
}
