package counter

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Correction is what an administrator wants to change of a counter, whatever its limit.
type Correction struct {
	Counter string
	// Action is EntryAdjusted, which adds Number, EntrySet, which sets the counter to it, or EntryReset.
	Action string
	Number int64
	Reason string
}

// Corrected is a counter after a correction.
type Corrected struct {
	State State
	// Clamped tells that the result would have been below 0 or above licensing.MaxCount.
	Clamped bool
}

// Correct changes the number of a counter. Errors: licensing.ErrNotFound, licensing.ErrCounterNotFound.
func (s *Counters) Correct(
	ctx context.Context, by *licensing.Actor, licenseID string, c Correction,
) (Corrected, error) {
	var done Corrected
	err := s.change(ctx, Selection{LicenseID: licenseID}, func(l *Ledger) (err error) {
		done, err = l.correct(by, c, s.Clock.Now())
		return err
	})
	return done, err
}

// Raise sets those counters of a license to numbers that show less, all at once, and reports whether there were any.
// name is the counter that an error is about. Errors: those of Correct.
func (s *Counters) Raise(
	ctx context.Context, by *licensing.Actor, licenseID string, numbers map[string]int64, reason string,
) (changed bool, name string, err error) {
	now := s.Clock.Now()
	err = s.change(ctx, Selection{LicenseID: licenseID}, func(l *Ledger) error {
		changed = false // it may run more than once
		for _, name = range slices.Sorted(maps.Keys(numbers)) {
			t := l.License.Counter(name)
			if t == nil {
				return licensing.ErrCounterNotFound
			}
			if c, _ := l.counter(t, now); c.Used >= numbers[name] {
				continue
			}
			wanted := Correction{Counter: name, Action: EntrySet, Number: numbers[name], Reason: reason}
			if _, err := l.correct(by, wanted, now); err != nil {
				return err
			}
			changed = true
		}
		return nil
	})
	return changed && err == nil, name, err
}

// correct is the rule of Correct, under the lock of the license.
func (l *Ledger) correct(by *licensing.Actor, wanted Correction, now time.Time) (Corrected, error) {
	t := l.License.Counter(wanted.Counter)
	if t == nil {
		return Corrected{}, licensing.ErrCounterNotFound
	}
	c := l.current(t, now)
	before, exact := c.Used, wanted.result(c.Used)
	c.Used = min(max(0, exact), licensing.MaxCount)
	switch wanted.Action {
	case EntryReset:
		c.restart(now)
	case EntrySet:
		c.Period++ // what was counted before it counts no more
	}
	l.put(c, t, now)
	l.note(Entry{
		Counter:    t.Name,
		Action:     wanted.Action,
		At:         now,
		UsedBefore: before,
		UsedAfter:  c.Used,
		Reason:     wanted.Reason,
		ActorID:    by.GetId(),
		ActorName:  by.GetName(),
	})
	l.Emit(audited(by, "license.counter."+auditActions[wanted.Action], &l.License,
		map[string]any{"counter": t.Name, "used": before},
		map[string]any{"counter": t.Name, "used": c.Used, "reason": wanted.Reason}))
	return Corrected{State: c.state(t), Clamped: c.Used != exact}, nil
}

// auditActions name the actions as the audit log does.
var auditActions = map[string]string{EntryAdjusted: "adjust", EntrySet: "set", EntryReset: "reset"}

// result is what the counter would show if numbers had no bounds.
func (c *Correction) result(used int64) int64 {
	switch c.Action {
	case EntryAdjusted:
		return used + c.Number
	case EntrySet:
		return c.Number
	}
	return 0
}
