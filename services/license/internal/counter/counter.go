// Package counter holds the rules of consumption: what a license's counters have counted, when they start again at 0,
// and what may still be consumed. What was agreed on a counter is a term of its license (licensing.CounterTerms).
package counter

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Counters are the use cases of clients and administrators for counters.
type Counters struct {
	Seats     *licensing.Seats
	Store     Store
	Telemetry licensing.Telemetry
	Clock     clock.Clock
}

// change is Store.Change, after which what was consumed is told in one event for all who shared the ledger.
func (s *Counters) change(ctx context.Context, selected Selection, decide func(*Ledger) error) error {
	return s.Store.Change(ctx, selected, func(l *Ledger) error {
		err := decide(l)
		if l.consumed != nil && l.AfterCommit == nil {
			l.AfterCommit = func() { s.Telemetry.Record(licensing.Source, l.License.ID, s.Clock.Now(), l.consumed) }
		}
		return err
	})
}

// Counter is what was counted.
type Counter struct {
	Name string
	// Used includes what was consumed beyond the limit.
	Used int64
	// Period grows with each reset, whenever an administrator sets Used, and when the license loses the counter: parts
	// of devices and operations from an earlier one are over.
	Period      int
	PeriodStart time.Time
	// ResetsAt is when the period ends, zero for never.
	ResetsAt time.Time
	// Schedule is what PeriodStart and ResetsAt were computed by.
	Schedule string
	// Announced is the highest threshold that was announced and has not been left since, 0 for none.
	Announced int
}

// Device names a device's part of a counter.
type Device struct{ Counter, HardwareID string }

// Part is what one device consumed in a period.
type Part struct {
	Period int
	Used   int64
}

// State is a counter as answers show it.
type State struct {
	Counter     string     `json:"counter"`
	Used        int64      `json:"used"`
	Limit       *int64     `json:"limit"`
	Remaining   *int64     `json:"remaining"`
	OverageUsed int64      `json:"overage_used"`
	PeriodStart *time.Time `json:"period_start"`
	ResetsAt    *time.Time `json:"resets_at"`
	// DeviceUsed is the part of the device that asks, nil where no parts are counted.
	DeviceUsed *int64 `json:"device_used,omitempty"`
}

// at is the counter at a time: when its period has ended, it has started again, and ended tells so. A clock that is
// behind another's ends no period again, because only ResetsAt counts. A period that a clock far ahead has begun
// becomes that of now, and gives nothing back.
func (c Counter) at(now time.Time, s schedule) (at Counter, ended bool) {
	ended = !c.ResetsAt.IsZero() && !now.Before(c.ResetsAt)
	if key := s.String(); ended || c.Schedule != key || c.ahead(now, s) {
		c.Schedule = key
		c.PeriodStart, c.ResetsAt = s.period(now)
	}
	if ended {
		c.Used, c.Announced = 0, 0
		c.Period++
	}
	return c, ended
}

// ahead tells of a period that ends after the next one.
func (c *Counter) ahead(now time.Time, s schedule) bool {
	if c.ResetsAt.IsZero() || !c.PeriodStart.After(now) {
		return false
	}
	_, next := s.period(now)
	_, last := s.period(next)
	return c.ResetsAt.After(last)
}

// restart makes the counter start again within its period.
func (c *Counter) restart(now time.Time) {
	c.Used, c.Announced = 0, 0
	c.Period++
	c.PeriodStart = now
}

func (c *Counter) state(t *licensing.CounterTerms) State {
	s := State{
		Counter:     t.Name,
		Used:        c.Used,
		Limit:       t.Limit,
		PeriodStart: timeOrNil(c.PeriodStart),
		ResetsAt:    timeOrNil(c.ResetsAt),
	}
	if t.Limit != nil {
		left := max(0, *t.Limit-c.Used)
		s.Remaining, s.OverageUsed = &left, max(0, c.Used-*t.Limit)
	}
	return s
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
