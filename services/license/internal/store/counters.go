package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/batch"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Counters implements counter.Store. Changes that come at the same time share a transaction, as activations do; what
// they change of one license they change one after another in one Ledger.
type Counters struct {
	*Store
	together *batch.Batcher[string, counterChange, counterResult]
}

// NewCounters returns the store of counters in the database of s.
func NewCounters(s *Store) *Counters {
	c := &Counters{Store: s}
	c.together = batch.New(batches(s.db.Engine(), "change counters"), counterChange.licenseID, c.runChanges)
	return c
}

// counterChange is one call that changes counters.
type counterChange struct {
	counter.Selection
	decide func(*counter.Ledger) error
	trace  string // goes with its events
}

func (c counterChange) licenseID() string { return c.LicenseID }

// counterResult is what came of a change: settled is false when somebody else held the license, or nobody has its id.
type counterResult struct {
	settled bool
	err     error
}

// Change implements counter.Store. Within a transaction, and when the batch gave no result, a change goes by itself.
func (s *Counters) Change(ctx context.Context, selected counter.Selection, decide func(*counter.Ledger) error) error {
	if !uid.Is(selected.LicenseID) {
		return licensing.ErrNotFound
	}
	c := counterChange{selected, decide, trace.Parent(ctx)}
	if !s.db.InTx(ctx) {
		if r, err := s.together.Do(ctx, c); err != nil || r.settled {
			return translate(cmp.Or(err, r.err))
		}
	}
	all, err := s.run(ctx, []counterChange{c}, clause.Locking{Strength: "NO KEY UPDATE"})
	switch {
	case err != nil:
		return translate(err)
	case !all[0].settled:
		return licensing.ErrNotFound
	}
	return all[0].err
}

// runChanges settles nothing when the transaction fails because of what one of them brought: each then goes by itself.
// After an outage nobody knows what was committed, so the failure is everyone's.
func (s *Counters) runChanges(ctx context.Context, changes []counterChange) ([]counterResult, error) {
	ctx, cancel := context.WithTimeout(ctx, togetherTime)
	defer cancel()
	// A license that somebody else holds is skipped: it must not keep the others waiting, and nobody can wait in a
	// circle.
	all, err := s.run(ctx, changes, clause.Locking{Strength: "NO KEY UPDATE", Options: "SKIP LOCKED"})
	if err != nil && !errors.Is(err, apierr.ErrUnavailable) {
		return make([]counterResult, len(changes)), nil
	}
	return all, err
}

func (s *Counters) run(
	ctx context.Context, changes []counterChange, lock clause.Locking,
) (all []counterResult, err error) {
	err = s.db.TxEnding(ctx, func(ctx context.Context, tx *gorm.DB) ([]db.Query, error) {
		ledgers, err := loadLedgers(tx, changes, lock)
		if err != nil {
			return nil, err
		}
		var events []event.Event
		if all, events, err = ledgers.decideAll(changes, s.clock.Now()); err != nil {
			return nil, err
		}
		for _, e := range events {
			db.AfterCommit(ctx, func() { s.committed(e) })
		}
		writes, err := s.outbox.Adding(ctx, events)
		return append(writes, ledgers.writing(ctx)...), err
	})
	return all, err
}

// decideAll lets each change decide, in their order, and gathers the events.
func (held ledgers) decideAll(changes []counterChange, now time.Time) (
	all []counterResult, events []event.Event, err error,
) {
	all = make([]counterResult, len(changes))
	for i, c := range changes {
		l := held[c.LicenseID]
		if l == nil {
			continue
		}
		told := len(l.Events())
		all[i] = counterResult{settled: true, err: c.decide(l.Ledger)}
		for _, msg := range l.Events()[told:] {
			e, err := event.New(licensing.Source, c.LicenseID, now, msg)
			if err != nil {
				return nil, nil, err
			}
			e.Trace = c.trace
			events = append(events, e)
		}
	}
	return all, events, nil
}

// Read implements counter.Store.
func (s *Counters) Read(ctx context.Context, licenseID string) (licensing.License, map[string]counter.Counter, error) {
	l, err := s.Find(ctx, licenseID)
	if err != nil {
		return l, nil, err
	}
	var rows []counterRow
	err = s.db.Read(ctx).Table("counters").Where("license_id = ?", licenseID).Find(&rows).Error
	counters := map[string]counter.Counter{}
	for _, row := range rows {
		counters[row.Name] = row.counter()
	}
	return l, counters, translate(err)
}

// Parts implements counter.Store.
func (s *Counters) Parts(
	ctx context.Context, licenseID string, c counter.Counter, limit int,
) ([]counter.DevicePart, error) {
	parts := []counter.DevicePart{}
	err := s.db.Read(ctx).Table("counter_devices").Select("hardware_id", "used").
		Where("license_id = ? AND counter = ? AND period = ? AND used > 0", licenseID, c.Name, c.Period).
		Order("used DESC, hardware_id").Limit(limit).Find(&parts).Error
	return parts, translate(err)
}

// History implements counter.Store.
func (s *Counters) History(
	ctx context.Context, licenseID, name string, span licensing.Span,
) (licensing.Page[counter.Entry], error) {
	of := func() *gorm.DB {
		return s.db.Read(ctx).Table("counter_history").Where("license_id = ? AND counter = ?", licenseID, name)
	}
	newest := newestFirst("at", func(r *entryRow) (time.Time, string) { return r.At, r.ID })
	return readPage(of, allColumns, span, newest, (*entryRow).entry)
}

func (r *entryRow) entry() counter.Entry {
	r.At = r.At.UTC()
	return r.Entry
}

// What is left of a counter that a license no longer has: the number of its period, by which operations know that what
// they consumed is gone. Such a row has no schedule, and PeriodStart is when it was left.
const (
	leaveCounters = `UPDATE counters SET used = 0, period = period + 1, announced = 0, schedule = '', resets_at = NULL,
		period_start = @now WHERE license_id = @license AND name IN @names`
	forgetCounters = `DELETE FROM counters WHERE license_id = @license AND schedule = '' AND period_start < @old`
)

// dropCounters deletes what was counted by counters that a license no longer has, but for their history: one that is
// made anew later begins at 0, in another period.
func (s *Store) dropCounters(tx *gorm.DB, before, after *licensing.License) error {
	var gone []string
	for i := range before.Counters {
		if name := before.Counters[i].Name; after.Counter(name) == nil {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	now := s.clock.Now()
	values := map[string]any{
		"license": after.ID, "names": gone, "now": now, "old": now.Add(-counter.OperationRetention),
	}
	for _, statement := range []string{
		leaveCounters,
		forgetCounters,
		`DELETE FROM counter_devices WHERE license_id = @license AND counter IN @names`,
	} {
		if err := tx.Exec(statement, values).Error; err != nil {
			return err
		}
	}
	return nil
}

// What a device counted becomes another's, who may have counted, too. Without the lock of the license nobody writes to
// it.
const (
	handParts = `INSERT INTO counter_devices (license_id, counter, hardware_id, period, used)
		SELECT license_id, counter, @to, period, used FROM counter_devices
		WHERE license_id = @license AND hardware_id = @from
		ON CONFLICT (license_id, hardware_id, counter) DO UPDATE SET
			used = CASE WHEN excluded.period >= counter_devices.period THEN excluded.used ELSE 0 END
				+ CASE WHEN excluded.period <= counter_devices.period THEN counter_devices.used ELSE 0 END,
			period = CASE WHEN excluded.period > counter_devices.period THEN excluded.period
				ELSE counter_devices.period END`
	leaveParts     = `DELETE FROM counter_devices WHERE license_id = @license AND hardware_id = @from`
	handOperations = `UPDATE counter_operations SET hardware_id = @to
		WHERE license_id = @license AND hardware_id = @from`
)

// handOver gives a device the parts of counters and the operations of another, or those that it had under another id.
func handOver(tx *gorm.DB, licenseID, from, to string) error {
	values := map[string]any{"license": licenseID, "from": from, "to": to}
	for _, statement := range []string{handParts, leaveParts, handOperations} {
		if err := tx.Exec(statement, values).Error; err != nil {
			return err
		}
	}
	return nil
}
