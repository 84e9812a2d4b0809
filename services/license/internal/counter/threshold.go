package counter

import "github.com/latchkey-dev/latchkey/services/license/internal/licensing"

// overage is the threshold of what is consumed beyond the limit. The others are per cent of it.
const overage = 101

// thresholds from the highest to the lowest.
var thresholds = [...]int{overage, 100, 90, 80}

// leeway is how many points below a threshold a counter must fall before it is announced again.
const leeway = 5

// crossed notes the thresholds that the counter has reached and left, and returns the highest that it has newly
// reached, 0 for none.
func (c *Counter) crossed(t *licensing.CounterTerms) int {
	if t.Limit == nil {
		c.Announced = 0
		return 0
	}
	for c.Announced > 0 && c.left(c.Announced, *t.Limit) {
		c.Announced = below(c.Announced)
	}
	for _, threshold := range thresholds {
		if threshold > c.Announced && c.reached(threshold, *t.Limit) {
			c.Announced = threshold
			return threshold
		}
	}
	return 0
}

func (c *Counter) reached(threshold int, limit int64) bool {
	if threshold == overage {
		return c.Used > limit
	}
	return limit > 0 && c.Used*100 >= int64(threshold)*limit
}

func (c *Counter) left(threshold int, limit int64) bool {
	return c.Used*100 <= int64(min(threshold, 100)-leeway)*limit
}

// below is the next lower threshold, 0 for none.
func below(threshold int) int {
	for _, lower := range thresholds {
		if lower < threshold {
			return lower
		}
	}
	return 0
}
