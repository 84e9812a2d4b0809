package lease

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// expireBatch is how many leases are noted as expired in one transaction.
const expireBatch = 200

// NoteExpired notes the leases that have expired, each with its event, and returns how many there were. Their slots
// have been free since their ends, whenever this runs.
func (s *Leases) NoteExpired(ctx context.Context) (total int, err error) {
	for {
		n, err := s.Store.ExpireLeases(ctx, expireBatch)
		if total += n; err != nil || n < expireBatch {
			return total, err
		}
	}
}

// Expire notes that a lease has expired, and returns the event.
func (l *Lease) Expire(license *licensing.License, now time.Time) proto.Message {
	l.end(Expired, l.ExpiresAt)
	return expired(license, l, now)
}
