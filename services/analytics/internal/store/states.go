package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// states reads detector states.
func (s *Store) states(tx *gorm.DB) func([]string) (map[string]usage.State, error) {
	return func(subjects []string) (map[string]usage.State, error) {
		keys := make([]stateKey, len(subjects))
		for i, subject := range subjects {
			keys[i] = stateKey{subject}
		}
		var rows []stateRow
		if err := stateTable.find(tx, s.db.Engine(), keys, &rows); err != nil {
			return nil, err
		}
		states := make(map[string]usage.State, len(rows))
		for _, r := range rows {
			states[r.Subject] = usage.State{Data: r.State, Position: r.Position}
		}
		return states, nil
	}
}

// resume finds out how far the consumption has come.
func (s *Store) resume(ctx context.Context) error {
	if s.recent.taken >= 0 {
		return nil
	}
	return s.db.Read(ctx).Raw(`SELECT taken FROM consumer WHERE name = ?`, consumerName).Scan(&s.recent.taken).Error
}

// replayRow is an event with what the detectors need to know of its license.
type replayRow struct {
	EventID     string
	Type        string
	OccurredAt  stamp
	LicenseID   string
	Position    int64
	Data        db.JSON
	CustomerID  string
	LicenseType string
	IsTest      bool
	MaxDevices  int
	CreatedAt   stamp
	ExpiresAt   stamp
}

func (r *replayRow) replayed() *usage.Replayed {
	l := licenseRow{LicenseID: r.LicenseID, CustomerID: r.CustomerID, LicenseType: r.LicenseType, IsTest: r.IsTest, MaxDevices: r.MaxDevices,
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt}
	return &usage.Replayed{
		Event:    usage.Event{ID: r.EventID, Type: r.Type, At: r.OccurredAt.utc(), Data: r.Data},
		Position: r.Position, License: l.license(),
	}
}

// replay tells the events that are not in every stored detector state.
func (s *Store) replay(tx *gorm.DB) func(each func(*usage.Replayed) error) error {
	return func(each func(*usage.Replayed) error) error {
		const page = 5000
		last := replayRow{EventID: "00000000-0000-0000-0000-000000000000"}
		if err := tx.Raw(`SELECT replay_after FROM consumer WHERE name = ?`, consumerName).Scan(&last.Position).Error; err != nil {
			return err
		}
		for {
			rows, err := replayPage(tx, &last, page)
			if err != nil {
				return err
			}
			for i := range rows {
				if err := each(rows[i].replayed()); err != nil {
					return err
				}
			}
			if len(rows) < page {
				return nil
			}
			last = rows[page-1]
		}
	}
}

// replayPage reads the events after last in the order of position, time and id. Without a time, it is after all events of its position.
func replayPage(tx *gorm.DB, last *replayRow, limit int) (rows []replayRow, err error) {
	err = tx.Raw(`SELECT e.event_id, e.type, e.occurred_at, e.license_id, e.position, e.data, l.customer_id, l.license_type, l.is_test, l.max_devices,
		l.created_at, l.expires_at FROM events e LEFT JOIN licenses l ON l.license_id = e.license_id
		WHERE e.position >= ? AND (e.position > ? OR e.occurred_at > ? OR (e.occurred_at = ? AND e.event_id > ?))
		ORDER BY e.position, e.occurred_at, e.event_id LIMIT ?`,
		last.Position, last.Position, last.OccurredAt, last.OccurredAt, last.EventID, limit).Scan(&rows).Error
	return rows, err
}
