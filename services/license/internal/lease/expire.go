package lease

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// expireBatch is how many leases are noted as expired in one transaction.
const expireBatch = 200

// NoteExpired notes the leases that have expired, each with its event, and returns how many there were. Their slots
// have been free since their ends, whenever this runs: lease_seconds (licensing/terms_floating.go) after they were last
// taken or renewed, later if borrowed (until in pool.go). It is called by one goroutine: noteExpired in the service's
// jobs.go.
func (s *Leases) NoteExpired(ctx context.Context) (total int, err error) {
	if !s.noted.IsZero() { // read before the clock is: what is granted meanwhile is not from before it was set back
		s.noted = clock.Later(s.noted, time.UnixMicro(s.granted.Swap(0)))
	}
	for {
		n, now, err := s.Store.ExpireLeases(ctx, expireBatch)
		if total += n; err != nil {
			return total, err
		}
		if n < expireBatch {
			return total, s.restartAfterClockSetBack(ctx, now)
		}
	}
}

// restartAfterClockSetBack has leases restart where the clock was set back: those from before would hold their slots
// until it comes to where it was, though nobody renews them. A process that has just begun does not know, and looks.
func (s *Leases) restartAfterClockSetBack(ctx context.Context, now time.Time) error {
	if s.noted.IsZero() || now.Before(s.noted) {
		for n := expireBatch; n == expireBatch; {
			var err error
			if n, err = s.Store.RestartLeases(ctx, expireBatch); err != nil {
				return err
			}
		}
	}
	s.noted = now
	return nil
}

// Restart has the lease last from now on as long as it was to last when it was last seen.
func (l *Lease) Restart(now time.Time) {
	l.LastSeenAt, l.ExpiresAt = now, now.Add(l.ExpiresAt.Sub(l.LastSeenAt))
}

// Expire notes that a lease has expired, and returns the event.
func (l *Lease) Expire(license *licensing.License, now time.Time) proto.Message {
	l.end(Expired, l.ExpiresAt)
	return expiredEvent(license, l, now)
}
