package licensing

import "time"

// Newcomers are the devices that took their first seat on a license within the window of its terms.
type Newcomers struct {
	Count int
	// RetryAt is when one more may come, zero where it may now.
	RetryAt time.Time
}

// newcomers counts them, nil where the terms do not ask, or the device is none.
func (ch *Change) newcomers(known *Device, now time.Time) (*Newcomers, error) {
	rule := ch.License.rules().NewDevices
	if rule == nil || known != nil {
		return nil, nil
	}
	window := time.Duration(rule.WindowHours) * time.Hour
	count, oldest, err := ch.Reads.NewSince(now.Add(-window), rule.Limit)
	n := &Newcomers{Count: count}
	if count >= rule.Limit {
		n.RetryAt = oldest.Add(window)
	}
	return n, err
}

// full reports whether no newcomer is let in; nil never is. The row new_devices of verdict.go asks it.
func (n *Newcomers) full() bool { return n != nil && !n.RetryAt.IsZero() }
