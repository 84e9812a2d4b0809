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
	// Product is the product's name.
	Product string
	// MaskedKey shows the beginning of the license key only.
	MaskedKey string
	Terms
	// CurrentDevices is how many seats are taken.
	CurrentDevices int
	IsActive       bool
	IsTest         bool
	// Metadata is a JSON object, byte for byte as the vendor sent it.
	Metadata json.RawMessage
	// Version grows with each change of the license or of its seats.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
	// DeactivatedAt is zero while the license is active.
	DeactivatedAt      time.Time
	DeactivationReason string
	// DeactivatedVersion is the Version with which the license was last deactivated, 0 if it never was. It stays when the
	// license is active again: tokens of earlier versions do not come back.
	DeactivatedVersion int
	// ExpiryNotice is the tightest of the notice periods, in days, that has been announced or was already past when the
	// expiry was set; 0 for none.
	ExpiryNotice int
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
