package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const consumerName = "events"

// TakeOver implements ingest.Store.
func (s *Store) TakeOver(ctx context.Context) (p usage.Progress, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Raw(`INSERT INTO consumer (name, epoch) VALUES (?, 1)
			ON CONFLICT (name) DO UPDATE SET epoch = consumer.epoch + 1 RETURNING epoch, taken, replay_after`,
			consumerName).Scan(&p).Error
	})
	return p, err
}

// Unsettled implements ingest.Store.
func (s *Store) Unsettled(ctx context.Context, since time.Time) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Table("consumer").
		Where("name = ? AND replay_after < taken AND last_event_at < ?", consumerName, since).Count(&n).Error
	return n > 0, db.Error(err)
}

// Taken implements ingest.Store.
func (s *Store) Taken(ctx context.Context, events []usage.Event) (map[string]bool, error) {
	keys, taken := make([]inboxKey, len(events)), map[string]bool{}
	for i := range events {
		keys[i] = inboxKey{events[i].EventID}
	}
	for _, inbox := range []table{inboxTable, telemetryInboxTable} {
		var rows []inboxRow
		if err := inbox.find(s.db.Read(ctx), s.db.Engine(), keys, &rows); err != nil {
			return nil, db.Error(err)
		}
		for _, r := range rows {
			taken[r.EventID] = true
		}
	}
	return taken, nil
}

// Rollups implements ingest.Store.
func (s *Store) Rollups(ctx context.Context, licenses []string, devices []usage.DeviceKey) (usage.Rollups, error) {
	found, tx := usage.NewRollups(), s.db.Read(ctx)
	licenseKeys, deviceKeys := make([]licenseKey, len(licenses)), make([]deviceKey, len(devices))
	for i, id := range licenses {
		licenseKeys[i] = licenseKey{id}
	}
	for i, k := range devices {
		deviceKeys[i] = deviceKey(k)
	}
	var licenseRows []licenseRow
	var deviceRows []deviceRow
	if err := licenseTable.find(tx, s.db.Engine(), licenseKeys, &licenseRows); err != nil {
		return found, db.Error(err)
	}
	if err := deviceTable.find(tx, s.db.Engine(), deviceKeys, &deviceRows); err != nil {
		return found, db.Error(err)
	}
	for i := range licenseRows {
		l, err := licenseRows[i].known()
		if err != nil {
			return found, err
		}
		found.Licenses[l.ID] = l
	}
	for i := range deviceRows {
		d, err := deviceRows[i].known()
		if err != nil {
			return found, err
		}
		found.Devices[d.DeviceKey] = d
	}
	return found, nil
}

// States implements ingest.Store.
func (s *Store) States(ctx context.Context, subjects []string) (map[string]usage.State, error) {
	keys := make([]stateKey, len(subjects))
	for i, subject := range subjects {
		keys[i] = stateKey{subject}
	}
	var rows []stateRow
	if err := stateTable.find(s.db.Read(ctx), s.db.Engine(), keys, &rows); err != nil {
		return nil, db.Error(err)
	}
	states := make(map[string]usage.State, len(rows))
	for _, r := range rows {
		states[r.Subject] = usage.State{Data: r.State, Position: r.Position}
	}
	return states, nil
}

// receivedRow is an event with what the detectors need to know of its license.
type receivedRow struct {
	EventID     string
	Type        string
	OccurredAt  stamp
	LicenseID   string
	Position    int64
	Data        db.JSON
	CustomerID  string
	LicenseType string
	IsTest      bool
	Slots       int
	MaxDevices  int
	CreatedAt   stamp
	ExpiresAt   stamp
}

func (r *receivedRow) received() usage.Received {
	l := licenseRow{
		LicenseID:   r.LicenseID,
		CustomerID:  r.CustomerID,
		LicenseType: r.LicenseType,
		IsTest:      r.IsTest,
		Slots:       r.Slots,
		MaxDevices:  r.MaxDevices,
		CreatedAt:   r.CreatedAt,
		ExpiresAt:   r.ExpiresAt,
	}
	return usage.Received{
		Event: usage.Event{
			Observation: detect.Observation{EventID: r.EventID, Type: r.Type, At: r.OccurredAt.utc()},
			Data:        r.Data,
		},
		Position: r.Position,
		License:  l.license(),
	}
}

// ReceivedAfter implements ingest.Store. Each page goes on in an index: that of all events by position, that of a
// license's by time.
func (s *Store) ReceivedAfter(
	ctx context.Context, last usage.Received, licenseID string, limit int,
) ([]usage.Received, error) {
	if last.EventID == "" {
		last.EventID = "00000000-0000-0000-0000-000000000000"
	}
	tx := s.db.Read(ctx).Table("events e").Joins("LEFT JOIN licenses l ON l.license_id = e.license_id").
		Select(`e.event_id, e.type, e.occurred_at, e.license_id, e.position, e.data,
			l.customer_id, l.license_type, l.is_test, l.slots, l.max_devices, l.created_at, l.expires_at`)
	if licenseID != "" {
		tx = tx.Where("e.license_id = ? AND e.occurred_at >= ? AND (e.occurred_at > ? OR e.event_id > ?)",
			licenseID, last.At, last.At, last.EventID).Order("e.occurred_at, e.event_id")
	} else {
		tx = tx.Where("e.position >= ? AND "+
			"(e.position > ? OR e.occurred_at > ? OR (e.occurred_at = ? AND e.event_id > ?))",
			last.Position, last.Position, at(last.At), at(last.At), last.EventID).
			Order("e.position, e.occurred_at, e.event_id")
	}
	var rows []receivedRow
	err := tx.Limit(limit).Scan(&rows).Error
	events := make([]usage.Received, len(rows))
	for i := range rows {
		events[i] = rows[i].received()
	}
	return events, db.Error(err)
}
