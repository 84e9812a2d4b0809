package wire

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
)

// LeaseSlots are the slots of a floating license.
type LeaseSlots struct {
	Total int `json:"total"`
	InUse int `json:"in_use"`
}

// ReleasedLease is the answer to a lease that was given back.
type ReleasedLease struct {
	Released   bool       `json:"released"`
	LeaseID    string     `json:"lease_id"`
	LicenseID  string     `json:"license_id"`
	HardwareID string     `json:"hardware_id"`
	ReleasedAt time.Time  `json:"released_at"`
	Slots      LeaseSlots `json:"slots"`
}

// NewReleasedLease shows a lease that was given back.
func NewReleasedLease(l *lease.Lease, slots lease.Slots) ReleasedLease {
	return ReleasedLease{
		Released:   true,
		LeaseID:    l.ID,
		LicenseID:  l.LicenseID,
		HardwareID: l.HardwareID,
		ReleasedAt: l.EndedAt,
		Slots:      LeaseSlots(slots),
	}
}
