package licensing

import (
	"context"
	"errors"
	"math"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// noticeDays are the periods before the end at which license.expiring is sent, tightest first.
var noticeDays = [...]int{1, 7, 30}

const day = 24 * time.Hour

// applyTerms changes the terms; an end that is given in days counts from now, and a duration without an end begins to
// run.
func (l *License) applyTerms(c *TermsChange, now time.Time) {
	usableUntil := l.UsableUntil()
	l.Terms.apply(c)
	l.keepFreedSeats()
	switch {
	case c.ExpiresInDays != nil:
		l.setExpiry(now.Add(time.Duration(min(*c.ExpiresInDays, maxExpiryDays))*day), now)
	case c.ExpiresAt.Present:
		l.setExpiry(c.ExpiresAt.Value.orNever(c.ExpiresAt.Null, &l.Terms), now)
	}
	l.begin(now)
	if l.Announced != StatusNotStarted && !l.UsableUntil().Equal(usableUntil) {
		l.Announced = ""
	}
}

// setExpiry sets the end, zero for none. Periods that have begun already are not announced: anyone who sets an end in
// five days knows that it is near.
func (l *License) setExpiry(end, now time.Time) {
	if l.ExpiresAt.Equal(end) {
		return
	}
	l.ExpiresAt, l.ExpiryNotice, l.EndDay = end, 0, 0
	if l.Announced != StatusNotStarted {
		l.Announced = ""
	}
	if end.IsZero() {
		return
	}
	for _, days := range noticeDays {
		if end.Sub(now) <= time.Duration(days)*day {
			l.ExpiryNotice = int16(days)
			return
		}
	}
}

// AnnounceExpiring sends license.expiring for the licenses that have come within 30, 7 or 1 days of their end, once per
// license and period, however many replicas look. It returns how many it sent. Errors: those of AnnounceDue.
func (s *Licenses) AnnounceExpiring(ctx context.Context) (int, error) {
	sent := 0
	var failed error
	for _, days := range noticeDays {
		ids, err := s.Store.Expiring(ctx, s.Clock.Now(), days, 500)
		if err != nil {
			return sent, errors.Join(failed, err)
		}
		told, away, err := s.announceEach(ctx, ids, func(ch *Change, now time.Time) bool {
			return ch.announce(days, now)
		})
		failed = errors.Join(failed, err)
		if sent += told; away {
			break
		}
	}
	return sent, failed
}

// announce decides again under the lock: another replica may have been faster.
func (ch *Change) announce(days int, now time.Time) bool {
	l := &ch.License
	left := l.ExpiresAt.Sub(now)
	if l.Status(now) != StatusActive || l.ExpiresAt.IsZero() || left > time.Duration(days)*day ||
		(l.ExpiryNotice != 0 && int(l.ExpiryNotice) <= days) {
		return false
	}
	l.ExpiryNotice = int16(days)
	ch.Emit(&eventsv1.LicenseExpiring{
		LicenseId:  l.ID,
		CustomerId: l.CustomerID,
		DaysLeft:   int32(math.Ceil(left.Hours() / 24)),
		ExpiresAt:  timestamp(l.ExpiresAt),
		Version:    int32(l.Version),
		License:    Snapshot(l, now),
	})
	return true
}
