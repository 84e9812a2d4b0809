// Package licensing holds the rules: what a license is, who may use it, how devices take and leave its seats. It knows
// neither HTTP nor SQL nor the bus; it reads the time from a clock and keeps its state behind the ports of ports.go.
package licensing

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// License is the right of a customer to use a product on a number of devices.
type License struct {
	// ID is a UUID.
	ID         string
	CustomerID string
	// Product is the product's code.
	Product string
	// ProductRules are nil for a product that demands nothing.
	ProductRules *ProductRules
	// Policy is the code of the policy that the terms came from, empty for none. The policy may be gone.
	Policy string
	// GroupID is the id of the group whose limits the license shares, empty for none.
	GroupID string
	// MaskedKey shows the beginning of the license key only.
	MaskedKey string
	Terms
	// CurrentDevices is how many seats are taken.
	CurrentDevices int
	IsActive       bool
	IsTest         bool
	// EndDay is the day of the month that ExpiresAt had before a shorter month cut it, for renewals by months; 0 for
	// none.
	EndDay int8
	// ExpiryNotice is the tightest of the notice periods, in days, that has been announced or was already past when the
	// expiry was set; 0 for none.
	ExpiryNotice int16
	// Metadata is a JSON object, byte for byte as the vendor sent it.
	Metadata json.RawMessage
	// Version grows with each change of the license or of its seats.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
	// StartedAt is when a first activation had the time of the license begin to run; zero where its terms ask for none.
	StartedAt time.Time
	// Suspension is nil unless the license is suspended. It may lie in the past: see Suspension.
	Suspension *Suspension
	// Announced is the last status that events announced, of those which come by time alone.
	Announced Status
	// TransfersUsed is how many transfers count against the transfer limit, FreedSeats how many seats were freed by
	// deactivation and not taken again. Both are kept only while there is a limit.
	TransfersUsed, FreedSeats int
	// Deactivation is nil for a license that never was inactive. Read it by LastDeactivation.
	Deactivation *LicenseDeactivation
}

// LicenseDeactivation is the last time that a license was made inactive.
type LicenseDeactivation struct {
	// At is zero and Reason empty once the license is active again.
	At     time.Time
	Reason string
	// Version is the version with which the license became inactive. It stays when the license is active again: tokens
	// of earlier versions do not come back.
	Version int
}

// LastDeactivation is the zero value for a license that never was inactive.
func (l *License) LastDeactivation() LicenseDeactivation {
	if l.Deactivation == nil {
		return LicenseDeactivation{}
	}
	return *l.Deactivation
}

// Suspension takes the use of a license away for a time; it can be taken back.
type Suspension struct {
	At time.Time
	// Until is when it ends by itself, zero for never.
	Until  time.Time
	Reason string
}

// holds reports whether the license is suspended at a time.
func (s *Suspension) holds(now time.Time) bool {
	return s != nil && (s.Until.IsZero() || now.Before(s.Until))
}

// Plain is Terms.Plain of a license that is not suspended and in no group.
func (l *License) Plain() bool { return l.Terms.Plain() && l.Suspension == nil && l.GroupID == "" }

// Began is when the time of the license began to run, or will; zero while it awaits its first activation.
func (l *License) Began() time.Time {
	switch {
	case !l.StartedAt.IsZero():
		return l.StartedAt
	case l.AwaitsStart():
		return time.Time{}
	case !l.StartsAt.IsZero():
		return l.StartsAt
	}
	return l.CreatedAt
}

// Limits are the seats of a license.
type Limits struct {
	MaxDevices, CurrentDevices int
}

// Limits returns the seats of the license.
func (l *License) Limits() Limits {
	return Limits{MaxDevices: l.MaxDevices, CurrentDevices: l.CurrentDevices}
}

// touch marks a change of the license.
func (l *License) touch(now time.Time) {
	l.Version++
	l.UpdatedAt = now
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Actor is who makes an administrative change, for the audit log.
type Actor = rpcv1.Actor
