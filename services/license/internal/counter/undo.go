package counter

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Undo is an operation that was taken back.
type Undo struct {
	License     *licensing.License
	OperationID string
	UndoneAt    time.Time
	// Refunded is by the names of counters; nothing is given back of a Counter.Period that is over.
	Refunded map[string]int64
	States   []State
	device   *licensing.Device
}

// Undo takes an operation of the device back, once; a repeated call answers what was refunded then. The operation is
// the first of these ids that is known. Errors: those of Consume, and OPERATION_NOT_FOUND where none is.
func (s *Counters) Undo(ctx context.Context, key string, c licensing.Client, ids ...string) (undone Undo, err error) {
	found, _, err := s.Seats.LicenseByKey(ctx, key, &c)
	if err != nil {
		return Undo{}, err
	}
	now := s.Clock.Now()
	for _, id := range ids {
		if undone, err = s.undo(ctx, found.ID, &c, id, now); !errors.Is(err, errNoOperation) {
			break
		}
	}
	if err != nil {
		return Undo{}, s.Seats.UseRefused(now, found.ID, key, c, err)
	}
	if undone.device != nil {
		s.Seats.NoteSeen(undone.device, c)
	}
	return undone, nil
}

func (s *Counters) undo(
	ctx context.Context, licenseID string, c *licensing.Client, operationID string, now time.Time,
) (undone Undo, err error) {
	caller, err := s.Seats.RecognizedForUse(ctx, licenseID, c)
	if err != nil {
		return Undo{}, err
	}
	err = s.Seats.Rebound(ctx, licenseID, c, func(ctx context.Context) error {
		selected := Selection{LicenseID: licenseID, HardwareID: c.HardwareID, OperationID: operationID}
		return s.change(ctx, selected, func(l *Ledger) (err error) {
			undone, err = l.undo(caller, operationID, now)
			return err
		})
	})
	return undone, err
}

// undo is the rule of Undo, under the lock of the license.
func (l *Ledger) undo(c licensing.Caller, operationID string, now time.Time) (Undo, error) {
	r := c.Asks(licensing.OperationUse, &l.License, l.Devices[c.HardwareID], now)
	if err := licensing.Decide(r); err != nil {
		return Undo{}, err
	}
	o := l.Operations[operationID]
	if o == nil || o.HardwareID != c.HardwareID {
		return Undo{}, errNoOperation
	}
	if o.UndoneAt.IsZero() {
		r.Needs = l.refundNeeds(o, now)
		if err := licensing.Decide(r); err != nil {
			return Undo{}, err
		}
		o = l.refund(o, now)
	}
	undone := Undo{
		License:     &l.License,
		OperationID: o.ID,
		UndoneAt:    o.UndoneAt,
		Refunded:    map[string]int64{},
		device:      r.Device,
	}
	for _, a := range o.Applied {
		undone.Refunded[a.Counter] = a.Refunded
		if t := l.License.Counter(a.Counter); t != nil {
			c, _ := l.counter(t, now)
			undone.States = append(undone.States, c.state(t))
		}
	}
	return undone, nil
}

// refundable is what of an operation still counts, in terms nil where nothing does.
func (l *Ledger) refundable(a Applied, now time.Time) (t *licensing.CounterTerms, used int64) {
	if t = l.License.Counter(a.Counter); t == nil {
		return nil, 0
	}
	c, _ := l.counter(t, now)
	if c.Period != a.Period {
		return nil, 0
	}
	return t, c.Used
}

// refundNeeds is the room that the undoing of a negative amount needs.
func (l *Ledger) refundNeeds(o *Operation, now time.Time) *licensing.Needs {
	needs := &licensing.Needs{}
	for _, a := range o.Applied {
		if t, used := l.refundable(a, now); t != nil {
			needs.Counters = append(needs.Counters, licensing.CounterNeed{Terms: t, Used: used, Amount: -a.Amount})
		}
	}
	return needs
}

// refund takes back what still counts, and keeps the operation as undone.
func (l *Ledger) refund(o *Operation, now time.Time) *Operation {
	undone := *o
	undone.UndoneAt, undone.Applied = now, nil
	for _, a := range o.Applied {
		if t, _ := l.refundable(a, now); t != nil {
			back, state := l.add(t, -a.Amount, o.HardwareID, now)
			l.record(back, o.HardwareID, state.Used)
			a.Refunded = -back.Amount
		}
		undone.Applied = append(undone.Applied, a)
	}
	l.Operations[o.ID] = &undone
	return &undone
}
