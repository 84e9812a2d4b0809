package licensing

import (
	"context"
	"fmt"
	"math"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// noticeDays are the periods before the end at which license.expiring is sent, tightest first.
var noticeDays = [...]int{1, 7, 30}

const day = 24 * time.Hour

const (
	maxExpiryDays = 36_500
	// firstYear is the earliest year in which a license may end: zero dates of languages and databases lie before it.
	firstYear  = 2000
	onlyOneEnd = "send expires_at or expires_in_days, not both"
)

// endProblems notes what is wrong with the end that is given.
func (c *TermsChange) endProblems(p map[string]string) {
	days, at := c.ExpiresInDays, c.ExpiresAt
	switch {
	case days != nil && (at != nil || c.Perpetual):
		p["expires_at"], p["expires_in_days"] = onlyOneEnd, onlyOneEnd
	case days != nil && (*days < 1 || *days > maxExpiryDays):
		p["expires_in_days"] = fmt.Sprintf("must be from 1 to %d; leave it out for a perpetual license", maxExpiryDays)
	case at != nil && at.Year() < firstYear:
		p["expires_at"] = fmt.Sprintf("must not be before %d; null means perpetual", firstYear)
	}
}

// applyTerms changes the terms; an end that is given in days counts from now.
func (l *License) applyTerms(c *TermsChange, now time.Time) {
	l.Terms.apply(c)
	switch {
	case c.ExpiresInDays != nil:
		l.setExpiry(now.Add(time.Duration(min(*c.ExpiresInDays, maxExpiryDays))*day), now)
	case c.ExpiresAt != nil:
		l.setExpiry(*c.ExpiresAt, now)
	case c.Perpetual:
		l.setExpiry(time.Time{}, now)
	}
}

// setExpiry sets the end, zero for none. Periods that have begun already are not announced: whoever sets an end in five
// days knows that it is near.
func (l *License) setExpiry(end, now time.Time) {
	if l.ExpiresAt.Equal(end) {
		return
	}
	l.ExpiresAt, l.ExpiryNotice = end, 0
	if end.IsZero() {
		return
	}
	for _, days := range noticeDays {
		if end.Sub(now) <= time.Duration(days)*day {
			l.ExpiryNotice = days
			return
		}
	}
}

// AnnounceExpiring sends license.expiring for the licenses that have come within 30, 7 or 1 days of their end, once per
// license and period, however many replicas look. It returns how many it sent.
func (s *Licenses) AnnounceExpiring(ctx context.Context) (int, error) {
	sent := 0
	for _, days := range noticeDays {
		ids, err := s.Store.Expiring(ctx, s.Clock.Now(), days, 500)
		if err != nil {
			return sent, err
		}
		for _, id := range ids {
			announced := false
			err := s.Store.Change(ctx, id, nil, func(ch *Change) error {
				announced = ch.announce(days, s.Clock.Now())
				return nil
			})
			if err != nil {
				return sent, err
			}
			if announced {
				sent++
			}
		}
	}
	return sent, nil
}

// announce decides again under the lock: another replica may have been faster.
func (ch *Change) announce(days int, now time.Time) bool {
	l := &ch.License
	left := l.ExpiresAt.Sub(now)
	if l.Status(now) != StatusActive || l.ExpiresAt.IsZero() || left > time.Duration(days)*day ||
		(l.ExpiryNotice != 0 && l.ExpiryNotice <= days) {
		return false
	}
	l.ExpiryNotice = days
	ch.Emit(&eventsv1.LicenseExpiring{
		LicenseId:  l.ID,
		CustomerId: l.CustomerID,
		DaysLeft:   int32(math.Ceil(left.Hours() / 24)),
		ExpiresAt:  timestamp(l.ExpiresAt),
		Version:    int32(l.Version),
		License:    snapshot(l, now),
	})
	return true
}
