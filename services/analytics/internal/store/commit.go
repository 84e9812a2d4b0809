package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
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
//
// Few events come again, so nobody asks before whether they were taken: the inbox refuses the transaction. But where some come
// again more follow, as after "republish"; so after a batch with such events the inbox is asked first, until one has none.
func (s *Store) Commit(ctx context.Context, epoch int64, now time.Time, events []usage.Event, judge usage.Judge) (taken int, err error) {
	var committed *usage.Changes
	s.recent.begin(epoch)
	defer func() { s.recent.end(committed) }()
	fresh, repeated := inOrder(events), s.repeated
	for {
		if repeated {
			all := len(fresh)
			if fresh, err = s.untaken(ctx, fresh); err != nil {
				return 0, db.Error(err)
			}
			s.repeated = len(fresh) < all
		}
		committed, err = s.take(ctx, epoch, now, fresh, judge)
		if repeated || !db.IsDuplicate(err) {
			break
		}
		repeated = true
	}
	if err != nil {
		return 0, db.Error(err)
	}
	return len(fresh), nil
}

// inOrder is the events in the order of time and id, each once.
func inOrder(events []usage.Event) []usage.Event {
	ordered := slices.Clone(events)
	slices.SortFunc(ordered, func(a, b usage.Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return slices.CompactFunc(ordered, func(a, b usage.Event) bool { return a.ID == b.ID })
}

// untaken is those of events that the inbox does not know.
func (s *Store) untaken(ctx context.Context, events []usage.Event) ([]usage.Event, error) {
	keys, known := make([]inboxKey, len(events)), map[string]bool{}
	for i := range events {
		keys[i] = inboxKey{events[i].ID}
	}
	for _, inbox := range []table{inboxTable, telemetryInboxTable} {
		var rows []inboxRow
		if err := inbox.find(s.db.Read(ctx), s.db.Engine(), keys, &rows); err != nil {
			return nil, err
		}
		for _, r := range rows {
			known[r.EventID] = true
		}
	}
	return slices.DeleteFunc(events, func(e usage.Event) bool { return known[e.ID] }), nil
}

// take takes in events that are new, or fails with a duplicate. Everything is prepared before the transaction, which only writes.
func (s *Store) take(ctx context.Context, epoch int64, now time.Time, fresh []usage.Event, judge usage.Judge) (*usage.Changes, error) {
	if err := s.resume(ctx); err != nil {
		return nil, err
	}
	c := usage.Fold(fresh)
	w, err := s.prepare(s.db.Read(ctx), c)
	if err != nil {
		return nil, err
	}
	position := s.recent.taken + int64(len(fresh))
	verdict, err := judge(&usage.Batch{Events: fresh, Licenses: c.Licenses, Position: position,
		States: s.states(s.db.Read(ctx)), Replay: s.replay(s.db.Read(ctx))})
	if err != nil {
		return nil, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.hold(tx, epoch); err != nil || len(fresh) == 0 {
			return err
		}
		if err := s.enter(tx, now, position, fresh); err != nil {
			return err
		}
		if err := s.addUp(tx, c, w); err != nil {
			return err
		}
		if err := s.keepVerdict(ctx, tx, now, position, verdict); err != nil {
			return err
		}
		return noteProgress(tx, now, fresh, progress{position, verdict.ReplayAfter})
	})
	if err != nil {
		return nil, err
	}
	s.recent.taken = position
	return c, nil
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

// enter adds the events to inbox and log.
func (s *Store) enter(tx *gorm.DB, now time.Time, position int64, events []usage.Event) error {
	var inbox, telemetry []inboxRow
	rows := make([]eventRow, len(events))
	for i := range events {
		e := &events[i]
		rows[i] = eventRow{EventID: e.ID, Type: e.Type, OccurredAt: at(e.At), Position: position, Data: e.Data}
		if e.Body.LicenseID != "" {
			rows[i].LicenseID = &e.Body.LicenseID
		}
		if event.IsTelemetry(e.Type) {
			telemetry = append(telemetry, inboxRow{e.ID, at(now.Add(telemetryInbox))})
		} else {
			inbox = append(inbox, inboxRow{e.ID, at(now.Add(eventInbox))})
		}
	}
	if err := inboxTable.insert(tx, s.db.Engine(), inbox); err != nil {
		return err
	}
	if err := telemetryInboxTable.insert(tx, s.db.Engine(), telemetry); err != nil {
		return err
	}
	return eventTable.insert(tx, s.db.Engine(), rows)
}

func (s *Store) keepVerdict(ctx context.Context, tx *gorm.DB, now time.Time, position int64, v *usage.Verdict) error {
	rows := make([]stateRow, 0, len(v.States))
	for subject, state := range v.States {
		rows = append(rows, stateRow{subject, position, state, at(now)})
	}
	if err := stateTable.upsert(tx, s.db.Engine(), rows); err != nil {
		return err
	}
	_, err := s.record(ctx, tx, v.Findings, now)
	return err
}

// progress is how far the consumption has come.
type progress struct{ taken, replayAfter int64 }

// noteProgress keeps it, how far behind the batch was, and the span of what was ever taken in.
func noteProgress(tx *gorm.DB, now time.Time, fresh []usage.Event, p progress) error {
	oldest, newest := fresh[0].At, fresh[len(fresh)-1].At
	lag := max(0, now.Sub(oldest).Milliseconds())
	return tx.Exec(`UPDATE consumer SET taken = ?, replay_after = ?, lag_ms = ?,
		first_event_at = CASE WHEN first_event_at <= ? THEN first_event_at ELSE ? END,
		last_event_at = CASE WHEN last_event_at >= ? THEN last_event_at ELSE ? END WHERE name = ?`,
		p.taken, p.replayAfter, lag, oldest, oldest, newest, newest, consumerName).Error
}
