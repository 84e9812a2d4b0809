package counter

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// schedule says when a counter starts again at 0. What becomes of its value then is decided by Counter.at (counter.go),
// under the lock of the license.
type schedule struct {
	reset, anchor string
	zone          *time.Location
	// start is the start of the license.
	start time.Time
}

func newSchedule(l *licensing.License, t *licensing.CounterTerms) schedule {
	s := schedule{reset: t.Reset, anchor: t.Anchor, zone: l.Location(), start: l.Began()}
	if s.start.IsZero() { // it awaits its first activation
		s.start = l.CreatedAt
	}
	return s
}

// String is different for schedules that have different periods.
func (s schedule) String() string {
	switch {
	case s.reset == licensing.ResetNever:
		return "never"
	case s.anchor == licensing.AnchorStart:
		return s.reset + " " + s.zone.String() + " " + s.start.UTC().Format(time.RFC3339Nano)
	}
	return s.reset + " " + s.zone.String()
}

// period is the period around a time: the last boundary that is not after it, and the next one. The end is zero for
// never.
func (s schedule) period(now time.Time) (from, to time.Time) {
	if s.reset == licensing.ResetNever {
		return s.start, time.Time{}
	}
	// Two steps before what the calendar says: one because steps may be one too many, one because a clock may show a
	// day twice. The loop goes forward from there.
	first, n := s.steps(licensing.WallClock(now, s.zone))
	n -= 2
	for to = s.boundary(first, n); !to.After(now); to = s.boundary(first, n) {
		from = to
		n++
	}
	return from, to
}

// steps is a wall clock time at which a period begins, and how many periods lie between it and now, more or less one.
func (s schedule) steps(now time.Time) (first time.Time, n int) {
	if s.anchor == licensing.AnchorStart {
		first = licensing.WallClock(s.start, s.zone)
	} else {
		first = s.calendar(now)
	}
	days := int(now.Sub(first) / (24 * time.Hour))
	months := 12*(now.Year()-first.Year()) + int(now.Month()-first.Month())
	switch s.reset {
	case licensing.ResetDaily:
		return first, days
	case licensing.ResetWeekly:
		return first, days / 7
	case licensing.ResetMonthly:
		return first, months
	}
	return first, months / 12
}

// calendar is the beginning of the day, week, month or year of a wall clock time.
func (s schedule) calendar(now time.Time) time.Time {
	year, month, day := now.Date()
	switch s.reset {
	case licensing.ResetWeekly:
		day -= (int(now.Weekday()) + 6) % 7 // days since Monday
	case licensing.ResetMonthly:
		day = 1
	case licensing.ResetAnnually:
		month, day = time.January, 1
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// boundary is n steps after first. It is always counted from first: from the 31st it is the last day of a short month,
// and the 31st again in the next.
func (s schedule) boundary(first time.Time, n int) time.Time {
	switch s.reset {
	case licensing.ResetDaily:
		first = first.AddDate(0, 0, n)
	case licensing.ResetWeekly:
		first = first.AddDate(0, 0, 7*n)
	case licensing.ResetMonthly:
		first = addMonths(first, n)
	default:
		first = addMonths(first, 12*n)
	}
	return licensing.InZone(first, s.zone)
}

// addMonths moves a wall clock time by months, and to the last day of a month that is too short.
func addMonths(wall time.Time, months int) time.Time {
	year, month, day := wall.Date()
	last := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return wall.AddDate(0, 0, 1-day).AddDate(0, months, min(day, last)-1)
}
