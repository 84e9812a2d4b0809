package db

import (
	"context"
	"time"
)

// Impatient makes times of the claim short.
func (c *Claim) Impatient() {
	c.times = claimTimes{
		retry: time.Millisecond, check: time.Millisecond, trust: time.Second, ghost: 10 * time.Millisecond,
	}
}

// ClaimLock is the advisory lock of the claim of a name.
func ClaimLock(name string) int64 { return lockID("claim of " + name) }

// TrustClaimsFor sets for how long claims that are taken from now on count as held, and the time between two looks at
// their connections, until restore.
func TrustClaimsFor(d time.Duration) (restore func()) {
	before := defaultClaimTimes
	defaultClaimTimes.trust, defaultClaimTimes.check = d, d
	return func() { defaultClaimTimes = before }
}

// MigrationsWaitFor sets for how long migrations that begin from now on wait for a lock, how long each sixth time, and
// the pause before they wait again (d), until restore.
func MigrationsWaitFor(d, long time.Duration) (restore func()) {
	before := migrationWaits
	migrationWaits.lock, migrationWaits.long, migrationWaits.pause = d, long, d
	return func() { migrationWaits = before }
}

// Settle is what a claim does that was waited for.
func (c *Claim) Settle(ctx context.Context) error { return c.settle(ctx) }
