// Package ratelimit counts calls in sliding windows of a minute and an hour: at no moment do the last sixty seconds
// hold more admitted calls than the limit. Limits up to 4,096 a window are exact; beyond that times are rounded to a
// sixtieth of the window, in the direction of refusing.
package ratelimit

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// Limit is an allowance; 0 means no limit in that window. Those of API keys, and their defaults, are made in
// services/auth/internal/credential/apikey_members.go, that of the tokens of a device is a setting
// (pkg/app/clients.go).
type Limit struct {
	PerMinute, PerHour int
	// Delay needs PerHour: it counts the calls of that window.
	Delay Delay
}

// Delay makes callers wait the longer the more they have called within the hour: from the call After on, each has to
// come Shortest after the one before, the next twice as long after that, and so on up to Longest.
type Delay struct {
	After             int
	Shortest, Longest time.Duration
}

// Decision is the answer to one call.
type Decision struct {
	Allowed bool
	// Limit is the allowance shown to the caller: that of the minute, or of the hour where the minute has none.
	Limit int
	// Remaining is what is left, in the tighter window of both.
	Remaining int
	// Reset is the time until Remaining grows again, in whole seconds rounded up.
	Reset time.Duration
	// RetryAfter is the time until a refused call may be admitted, in whole seconds rounded up, at least one; 0 when
	// Allowed.
	RetryAfter time.Duration
}

// Limited reports whether any limit applied; if not, callers are told nothing of limits.
func (d Decision) Limited() bool { return d.Limit > 0 }

// Limiter admits or refuses calls by key. It is safe for concurrent use; Take and Refund never fail.
type Limiter interface {
	// Take counts a call, unless it is refused.
	Take(ctx context.Context, key string, l Limit) Decision
	// Refund takes back the last call of key that was admitted, because it should not count after all.
	Refund(ctx context.Context, key string)
	// Prune forgets the keys whose calls have all left their windows. Services call it in the background, every
	// PruneEvery.
	Prune(ctx context.Context) error
}

// PruneEvery is how often keys without calls are forgotten: the time of the shorter window.
const PruneEvery = time.Minute

// ErrExceeded refuses a call beyond its limit.
var ErrExceeded = apierr.New(apierr.RateLimited, errcode.RateLimitExceeded,
	"too many requests; wait as long as Retry-After says")

// Quota is one limit for each of many keys.
type Quota struct {
	Limiter Limiter
	Limit   Limit
}

// Admit counts a call of key, or fails with ErrExceeded.
func (q Quota) Admit(ctx context.Context, key string) error {
	if d := q.Limiter.Take(ctx, key, q.Limit); !d.Allowed {
		return ErrExceeded.WithRetryAfter(d.RetryAfter)
	}
	return nil
}

// Refund takes back the last call of key that was admitted, because it should not count after all.
func (q Quota) Refund(ctx context.Context, key string) { q.Limiter.Refund(ctx, key) }
