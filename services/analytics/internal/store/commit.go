package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Inbox ids are kept as long as their events may come again: telemetry until its queue's dead letters are surely dealt with,
// the others as long as the log that they can be published from again.
const (
	telemetryInbox = 30 * 24 * time.Hour
	eventInbox     = 400 * 24 * time.Hour
)

const consumerName = "events"

// TakeOver makes the caller the consumer and returns the epoch that Commit wants; commits under earlier ones fail from now on.
func (s *Store) TakeOver(ctx context.Context) (epoch int64, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Raw(`INSERT INTO consumer (name, epoch) VALUES (?, 1)
			ON CONFLICT (name) DO UPDATE SET epoch = consumer.epoch + 1 RETURNING epoch`, consumerName).Scan(&epoch).Error
	})
	return epoch, err
}

// Commit takes in those of events that were not taken before: into the log, the rollups, the detectors' memory and the
// anomalies, all or nothing. It returns how many they were, and usage.ErrFenced when the epoch is over.
func (s *Store) Commit(ctx context.Context, epoch int64, now time.Time, events []usage.Event, judge usage.Judge) (taken int, err error) {
	var committed *usage.Changes
	s.recent.begin(epoch)
	defer func() { s.recent.end(committed) }()
	var changes *usage.Changes
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.hold(tx, epoch); err != nil {
			return err
		}
		fresh, err := s.takeIn(tx, now, events)
		taken, changes = len(fresh), usage.Fold(fresh)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if err := s.addUp(tx, changes); err != nil {
			return err
		}
		if err := s.judge(ctx, tx, now, &usage.Batch{Events: fresh, Licenses: changes.Licenses, States: s.states(tx)}, judge); err != nil {
			return err
		}
		return noteProgress(tx, now, fresh)
	})
	if err != nil {
		return 0, err
	}
	committed = changes
	return taken, nil
}

// hold locks the consumer's row to the end of the transaction, so that commits follow one another.
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

// takeIn enters the events into inbox and log and returns the new ones, in the order of time and id.
func (s *Store) takeIn(tx *gorm.DB, now time.Time, events []usage.Event) ([]usage.Event, error) {
	ids, err := s.enter(tx, now, events)
	if err != nil {
		return nil, err
	}
	var fresh []usage.Event
	var rows []eventRow
	for i := range events {
		e := &events[i]
		if !ids[e.ID] {
			continue
		}
		delete(ids, e.ID) // a batch may hold the same event twice
		fresh = append(fresh, *e)
		row := eventRow{EventID: e.ID, Type: e.Type, OccurredAt: at(e.At), Data: e.Data}
		if e.Body.LicenseID != "" {
			row.LicenseID = &e.Body.LicenseID
		}
		rows = append(rows, row)
	}
	slices.SortFunc(fresh, func(a, b usage.Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return fresh, eventTable.insert(tx, s.db.Engine(), rows)
}

func (s *Store) enter(tx *gorm.DB, now time.Time, events []usage.Event) (map[string]bool, error) {
	rows, seen := make([]inboxRow, 0, len(events)), make(map[string]bool, len(events))
	for i := range events {
		if seen[events[i].ID] {
			continue
		}
		seen[events[i].ID] = true
		keep := eventInbox
		if event.IsTelemetry(events[i].Type) {
			keep = telemetryInbox
		}
		rows = append(rows, inboxRow{events[i].ID, at(now.Add(keep))})
	}
	ids, err := inboxTable.insertNew(tx, s.db.Engine(), rows)
	fresh := make(map[string]bool, len(ids))
	for _, id := range ids {
		fresh[id] = true
	}
	return fresh, err
}

func (s *Store) judge(ctx context.Context, tx *gorm.DB, now time.Time, b *usage.Batch, judge usage.Judge) error {
	verdict, err := judge(b)
	if err != nil {
		return err
	}
	rows := make([]stateRow, 0, len(verdict.States))
	for subject, state := range verdict.States {
		rows = append(rows, stateRow{subject, state, at(now)})
	}
	if err := stateTable.upsert(tx, s.db.Engine(), rows); err != nil {
		return err
	}
	_, err = s.record(ctx, tx, verdict.Findings, now)
	return err
}

func (s *Store) states(tx *gorm.DB) func([]string) (map[string][]byte, error) {
	return func(subjects []string) (map[string][]byte, error) {
		keys := make([]stateKey, len(subjects))
		for i, subject := range subjects {
			keys[i] = stateKey{subject}
		}
		var rows []stateRow
		if err := stateTable.find(tx, s.db.Engine(), keys, &rows); err != nil {
			return nil, err
		}
		states := make(map[string][]byte, len(rows))
		for _, r := range rows {
			states[r.Subject] = r.State
		}
		return states, nil
	}
}

// noteProgress keeps how far behind the batch was, and the span of what was ever taken in.
func noteProgress(tx *gorm.DB, now time.Time, fresh []usage.Event) error {
	oldest, newest := fresh[0].At, fresh[len(fresh)-1].At
	lag := max(0, now.Sub(oldest).Milliseconds())
	return tx.Exec(`UPDATE consumer SET lag_ms = ?,
		first_event_at = CASE WHEN first_event_at <= ? THEN first_event_at ELSE ? END,
		last_event_at = CASE WHEN last_event_at >= ? THEN last_event_at ELSE ? END WHERE name = ?`,
		lag, oldest, oldest, newest, newest, consumerName).Error
}
