package license

import (
	"context"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// seatLimit admits so many times an hour for each seat of a license.
type seatLimit struct {
	limiter ratelimit.Limiter
	perSeat int
}

// newSeatLimit is nil where no limit is wanted. It is counted in each process: the license is locked meanwhile, and a
// limit shared over the database would keep it for another transaction.
func (s *Service) newSeatLimit(cfg Config) licensing.SeatLimit {
	if cfg.SeatRateLimit == 0 {
		return nil
	}
	return seatLimit{app.NewLocalLimiter(s.Core), cfg.SeatRateLimit}
}

// Admit implements licensing.SeatLimit.
func (l seatLimit) Admit(ctx context.Context, licenseID string, seats int) error {
	if seats == licensing.Unlimited {
		return nil
	}
	limit := ratelimit.Limit{PerHour: l.perSeat * seats}
	if d := l.limiter.Take(ctx, licenseID, limit); !d.Allowed {
		return errHandedOn.WithRetryAfter(d.RetryAfter)
	}
	return nil
}

var errHandedOn = ratelimit.ErrExceeded.WithMessagef(
	"the seats of the license were handed on too often within the hour; wait as long as Retry-After says, or ask the " +
		"vendor for more seats")
