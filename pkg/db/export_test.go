package db

import "time"

// Impatient makes times of the claim short.
func (c *Claim) Impatient() {
	c.times = claimTimes{
		retry: time.Millisecond, check: time.Millisecond, trust: time.Second, ghost: 10 * time.Millisecond,
	}
}

// TrustClaimsFor sets for how long claims that are taken from now on count as held, until restore.
func TrustClaimsFor(d time.Duration) (restore func()) {
	before := defaultClaimTimes
	defaultClaimTimes.trust = d
	return func() { defaultClaimTimes = before }
}
