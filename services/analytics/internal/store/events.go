package store

import (
	"context"
	"fmt"
	"time"

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

// NewestFrom implements usage.Log.
func (s *Store) NewestFrom(ctx context.Context, licenseID string, from, to time.Time, n int) (time.Time, error) {
	var rows []eventRow
	err := s.db.Read(ctx).Table("events").Select("occurred_at").
		Where("license_id = ? AND occurred_at >= ? AND occurred_at <= ?", licenseID, from, to).
		Order("occurred_at DESC").Offset(n).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return from, db.Error(err)
	}
	return rows[0].OccurredAt.utc().Add(time.Microsecond), nil // the resolution of the column
}

// refused holds for events of refusals. These words are those of the index events_refusals.
const refused = `type IN ('license.validation.failed', 'license.device_limit_exceeded', 'license.activation.refused',
	'license.lease.denied')`

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
