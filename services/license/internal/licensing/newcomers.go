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

// full tells whether no newcomer is let in; nil never is.
func (n *Newcomers) full() bool { return n != nil && !n.RetryAt.IsZero() }

// isTransfer tells whether an activation of this device, nil for one that is new to the license, counts as a transfer:
// it takes a seat that another left.
func (l *License) isTransfer(known *Device) bool {
	return l.rules().TransferLimit != nil && known == nil && l.FreedSeats > 0
}

// transfersLeft tells whether the license lets one more transfer pass.
func (l *License) transfersLeft() bool {
	limit := l.rules().TransferLimit
	return limit == nil || l.TransfersUsed < *limit
}

// takesSeat notes that a device, nil for one that is new, takes a seat that may have been freed.
func (l *License) takesSeat(known *Device) {
	if l.isTransfer(known) {
		l.TransfersUsed++
	}
	if l.FreedSeats > 0 {
		l.FreedSeats--
	}
}

// keepFreedSeats forgets them under terms that do not ask for them.
func (l *License) keepFreedSeats() {
	if l.rules().TransferLimit == nil {
		l.FreedSeats = 0
	}
}

// freesSeat notes that a seat was freed by deactivation.
func (l *License) freesSeat() {
	if l.rules().TransferLimit != nil {
		l.FreedSeats++
	}
}
