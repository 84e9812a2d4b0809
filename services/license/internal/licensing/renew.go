package licensing

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Renewal is how far the end of a license moves. Without Days, Months and Until it moves by the duration of the
// license.
type Renewal struct {
	// At most one of Days, Months and Until is given.
	Days, Months *int
	Until        *End
	// From is RenewFromExpiry, or RenewFromNow for a renewal that begins with the call; empty means the first.
	From string
}

// Where a renewal begins.
const (
	RenewFromExpiry = "expiry"
	RenewFromNow    = "now"
)

// Renew moves the end of a license. Errors: VALIDATION_ERROR, ErrNotFound, ErrVersionMismatch, ErrPerpetual.
func (s *Licenses) Renew(ctx context.Context, by *Actor, licenseID string, r Renewal) (License, error) {
	if err := r.check(); err != nil {
		return License{}, err
	}
	return s.alter(ctx, by, licenseID, r.alteration(s.Clock.Now()))
}

func (r Renewal) alteration(now time.Time) alteration {
	return alteration{
		make:   func(l *License) error { return l.renew(&r, now) },
		action: func(*License, *License) string { return "license.renew" },
		event: func(before, l *License, _ []string) proto.Message {
			return renewed(l, before.ExpiresAt, now)
		},
	}
}

// check tells what is wrong with a renewal whatever the license.
func (r *Renewal) check() error {
	problems := map[string]string{}
	given := 0
	if r.Days != nil {
		given++
		inRange(problems, "days", *r.Days, 1, maxExpiryDays)
	}
	if r.Months != nil {
		given++
		inRange(problems, "months", *r.Months, 1, maxDurationMonths)
	}
	if r.Until != nil {
		given++
		yearProblem(problems, "until", r.Until.At, "to take the end away, set expires_at to null by PATCH")
	}
	if given > 1 {
		problems["days"] = "send one of days, months and until"
	}
	if oneOf(problems, "from", r.From, "", RenewFromExpiry, RenewFromNow); r.From != "" && r.Until != nil {
		problems["from"] = "goes with days or months; until is an end by itself"
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

func (l *License) renew(r *Renewal, now time.Time) error {
	switch {
	case l.AwaitsStart():
		return errNothingToRenew
	case l.ExpiresAt.IsZero():
		return ErrPerpetual
	case r.Days == nil && r.Months == nil && r.Until == nil && !l.hasDuration():
		return apierr.InvalidField("days", "the license has no duration of its own; send days, months or until")
	}
	end := l.renewedEnd(r, now)
	endDay := l.nextEndDay(r, now)
	if !end.After(l.ExpiresAt) {
		return apierr.InvalidField(r.member(),
			"must be after the end of the license, "+l.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if end.Year() > lastYear {
		return apierr.InvalidField("days", fmt.Sprintf("the end would come after the year %d", lastYear))
	}
	l.setExpiry(end, now)
	l.EndDay = endDay
	return nil
}

// member is the member that says how far the end moves; for the duration of the license, where from.
func (r *Renewal) member() string {
	switch {
	case r.Until != nil:
		return "until"
	case r.Days != nil:
		return "days"
	case r.Months != nil:
		return "months"
	}
	return "from"
}

// nextEndDay is the EndDay of the license after a renewal: that of the end which it counts months from, 0 where it
// counts none.
func (l *License) nextEndDay(r *Renewal, now time.Time) int8 {
	if r.Until != nil || r.Days != nil || r.Months == nil && l.DurationMonths == 0 {
		return 0
	}
	if r.From == RenewFromNow {
		return dayOfMonth(now, l.Location())
	}
	return l.endDay()
}

// endDay is the day of the month that renewals by months return to: EndDay counts where a shorter month may have cut
// it.
func (l *License) endDay() int8 {
	today, next := dayOfMonth(l.ExpiresAt, l.Location()), dayOfMonth(l.ExpiresAt.Add(day), l.Location())
	if next < today {
		return max(l.EndDay, today)
	}
	return today
}

func dayOfMonth(at time.Time, zone *time.Location) int8 { return int8(at.In(zone).Day()) }

func (l *License) renewedEnd(r *Renewal, now time.Time) time.Time {
	from := l.ExpiresAt
	if r.From == RenewFromNow {
		from = now
	}
	switch {
	case r.Until != nil:
		return r.Until.In(l.Location())
	case r.Days != nil:
		return from.Add(time.Duration(*r.Days) * day)
	case r.Months != nil:
		return l.monthsAfter(from, *r.Months)
	case l.DurationMonths > 0:
		return l.monthsAfter(from, l.DurationMonths)
	}
	return l.endAfter(from)
}

// monthsAfter is AddMonths, which returns to the day of the month that an earlier end of the license had.
func (l *License) monthsAfter(from time.Time, months int) time.Time {
	if from.Equal(l.ExpiresAt) {
		return addMonthsTo(int(l.endDay()), from, months, l.Location())
	}
	return AddMonths(from, months, l.Location())
}
