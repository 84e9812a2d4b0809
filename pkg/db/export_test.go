package db

import "time"

// Impatient makes times of the claim short.
func (c *Claim) Impatient() {
	c.times = claimTimes{retry: time.Millisecond, check: time.Millisecond, ghost: 10 * time.Millisecond}
}
