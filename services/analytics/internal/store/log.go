package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/decode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Events implements usage.Log.
func (s *Store) Events(ctx context.Context, licenseID string, from, to time.Time, each func(*usage.Event) error) error {
	const page = 5000
	last, id := from, "00000000-0000-0000-0000-000000000000"
	for {
		var rows []eventRow
		err := s.db.Read(ctx).Table("events").
			Where(`license_id = ? AND occurred_at >= ? AND occurred_at <= ? AND (occurred_at > ? OR event_id > ?)`,
				licenseID, last, to, last, id).
			Order("occurred_at, event_id").Limit(page).Find(&rows).Error
		if err != nil {
			return db.Error(fmt.Errorf("read events: %w", err))
		}
		for i := range rows {
			e, err := rows[i].event()
			if err != nil {
				return err
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		last, id = rows[page-1].OccurredAt.utc(), rows[page-1].EventID
	}
}

// refused holds for events of refusals. These words are those of the index events_refusals.
const refused = `type IN
	('license.validation.failed', 'license.device_limit_exceeded', 'license.activation.refused', 'license.lease.denied')`

// Refusals implements usage.Log.
func (s *Store) Refusals(ctx context.Context, licenseID string, since time.Time, limit int) ([]usage.Event, error) {
	var rows []eventRow
	err := s.db.Read(ctx).Table("events").Where("license_id = ? AND occurred_at >= ?", licenseID, since).Where(refused).
		Order("occurred_at DESC").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read refusals: %w", err))
	}
	return events(rows)
}

// SnapshotAt implements usage.Log.
func (s *Store) SnapshotAt(ctx context.Context, licenseID string, moment time.Time) (*usage.Event, error) {
	for _, side := range []struct{ condition, order string }{
		{"occurred_at < ?", "occurred_at DESC, event_id DESC"}, {"occurred_at >= ?", "occurred_at, event_id"},
	} {
		var rows []eventRow
		err := s.db.Read(ctx).Table("events").
			Where("license_id = ? AND type IN ?", licenseID, decode.SnapshotTypes()).
			Where(side.condition, moment).Order(side.order).Limit(1).Find(&rows).Error
		if err != nil {
			return nil, db.Error(err)
		}
		if len(rows) > 0 {
			return rows[0].event()
		}
	}
	return nil, nil
}

// RecentUses are events since a time that show a device at work: any of them, at most so many, because finding the last
// would read them all.
func (s *Store) RecentUses(ctx context.Context, since time.Time, limit int) ([]usage.Event, error) {
	var rows []eventRow
	err := s.db.Read(ctx).Table("events").Where("occurred_at >= ?", since).
		Where("type IN ?", []string{eventsv1.TypeLicenseValidated, eventsv1.TypeLicenseHeartbeat,
			eventsv1.TypeLicenseActivated}).
		Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, db.Error(err)
	}
	return events(rows)
}

func events(rows []eventRow) ([]usage.Event, error) {
	all := make([]usage.Event, len(rows))
	for i := range rows {
		e, err := rows[i].event()
		if err != nil {
			return nil, err
		}
		all[i] = *e
	}
	return all, nil
}

func (r *eventRow) event() (*usage.Event, error) {
	e := &usage.Event{
		Observation: detect.Observation{EventID: r.EventID, Type: r.Type, At: r.OccurredAt.utc()},
		Data:        r.Data,
	}
	if err := decode.Event(e); err != nil {
		return nil, fmt.Errorf("stored event %s: %w", r.EventID, err)
	}
	return e, nil
}

// CountSince implements usage.Log.
func (s *Store) CountSince(ctx context.Context, licenseID string, since time.Time) (usage.Counts, error) {
	var rows []struct {
		Type string
		N    int64
	}
	err := s.db.Read(ctx).Raw(`SELECT type, count(*) AS n FROM events
		WHERE license_id = ? AND occurred_at > ? AND type IN ? GROUP BY type`,
		licenseID, since, []string{eventsv1.TypeLicenseValidated, eventsv1.TypeLicenseValidationFailed}).
		Scan(&rows).Error
	var c usage.Counts
	for _, r := range rows {
		if r.Type == eventsv1.TypeLicenseValidated {
			c.Validations = r.N
		} else {
			c.Failures = r.N
		}
	}
	return c, db.Error(err)
}

// minutesKept is how long the fleet's series is kept by the minute, hoursKept by the hour.
const (
	minutesKept = 48 * time.Hour
	hoursKept   = 90 * 24 * time.Hour
	// addressesKept is how long the detectors remember an address that fell silent. They look back a day at most.
	addressesKept = 7 * 24 * time.Hour
)

// Prune forgets what has expired, in small portions, and returns how many rows.
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
