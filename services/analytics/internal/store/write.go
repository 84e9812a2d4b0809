package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Inbox ids are kept as long as their events may come again: telemetry until its queue's dead letters are surely
// dealt with, the others as long as they may be published again from an event log.
const (
	telemetryInbox = 30 * 24 * time.Hour
	eventInbox     = event.Remembered
)

// Write implements ingest.Store: events and their ids in the inbox, rollups, detector states and anomalies, all or
// nothing.
func (s *Store) Write(ctx context.Context, now time.Time, b *usage.Batch) error {
	rows, err := newRollupRows(b)
	if err != nil {
		return err
	}
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.hold(tx, b.Epoch); err != nil {
			return err
		}
		if err := s.enter(tx, now, b); err != nil {
			return err
		}
		if err := s.writeRollups(tx, rows, b.Changes.LateDays); err != nil {
			return err
		}
		if err := s.writeStates(tx, now, b); err != nil {
			return err
		}
		if _, err := s.record(ctx, tx, b.Findings, now); err != nil {
			return err
		}
		return noteProgress(tx, now, b)
	}))
}

// hold locks the consumer's row to the end of the transaction, so that batches follow one another.
func (s *Store) hold(tx *gorm.DB, epoch int64) error {
	current, err := s.lock(tx)
	if err == nil && current != epoch {
		return fmt.Errorf("epoch %d of %d: %w", epoch, current, usage.ErrFenced)
	}
	return err
}

func (s *Store) lock(tx *gorm.DB) (epoch int64, err error) {
	err = s.db.Lock(tx).Table("consumer").Select("epoch").Where("name = ?", consumerName).Scan(&epoch).Error
	return epoch, err
}

// enter adds the events, and their ids to the inbox.
func (s *Store) enter(tx *gorm.DB, now time.Time, b *usage.Batch) error {
	var inbox, telemetry []inboxRow
	rows := make([]eventRow, len(b.Events))
	for i := range b.Events {
		e := &b.Events[i]
		rows[i] = eventRow{EventID: e.EventID, Type: e.Type, OccurredAt: at(e.At), Position: b.Position, Data: e.Data}
		if e.LicenseID != "" {
			rows[i].LicenseID = &e.LicenseID
		}
		if event.IsTelemetry(e.Type) {
			telemetry = append(telemetry, inboxRow{e.EventID, at(now.Add(telemetryInbox))})
		} else {
			inbox = append(inbox, inboxRow{e.EventID, at(now.Add(eventInbox))})
		}
	}
	err := inboxTable.insert(tx, s.db.Engine(), inbox)
	if err == nil {
		err = telemetryInboxTable.insert(tx, s.db.Engine(), telemetry)
	}
	if db.IsDuplicate(err) {
		return fmt.Errorf("%w: %w", usage.ErrRepeated, err)
	}
	if err != nil {
		return err
	}
	return eventTable.insert(tx, s.db.Engine(), rows)
}

func (s *Store) writeStates(tx *gorm.DB, now time.Time, b *usage.Batch) error {
	rows := make([]stateRow, 0, len(b.States))
	for subject, state := range b.States {
		rows = append(rows, stateRow{subject, b.Position, state, at(now)})
	}
	return stateTable.upsert(tx, s.db.Engine(), rows)
}

// noteProgress keeps how far the consumption has come, how far behind the batch was, and the span of what was ever
// taken in.
func noteProgress(tx *gorm.DB, now time.Time, b *usage.Batch) error {
	if len(b.Events) == 0 {
		return tx.Exec("UPDATE consumer SET replay_after = ? WHERE name = ?", b.ReplayAfter, consumerName).Error
	}
	oldest, newest := b.Events[0].At, b.Events[len(b.Events)-1].At
	lag := max(0, now.Sub(oldest).Milliseconds())
	return tx.Exec(`UPDATE consumer SET taken = ?, replay_after = ?, lag_ms = ?,
		first_event_at = CASE WHEN first_event_at <= ? THEN first_event_at ELSE ? END,
		last_event_at = CASE WHEN last_event_at >= ? THEN last_event_at ELSE ? END WHERE name = ?`,
		b.Position, b.ReplayAfter, lag, oldest, oldest, newest, newest, consumerName).Error
}
