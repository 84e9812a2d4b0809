package licensing

import (
	"net/netip"
	"time"
)

// Block refuses a device, a network, or whatever has a component. Exactly one of HardwareID, Network and Component is
// given.
type Block struct {
	// ID is a UUID.
	ID         string
	HardwareID string
	Network    netip.Prefix
	Component  Component
	// LicenseID and Product bound the block to a license and to the product with the code; empty for all.
	LicenseID, Product string
	Reason             string
	// Until is when the block ends, zero for never.
	Until     time.Time
	CreatedAt time.Time
}

// Component is a part of a device, such as its disk, and what tells it from others. The value of one that was stored is
// not known any more: only its keyed hash is kept.
type Component struct{ Name, Value string }

// InForce reports whether the block holds now for a device on the license.
func (b *Block) InForce(s Suspect) bool {
	return (b.LicenseID == "" || b.LicenseID == s.LicenseID) && (b.Product == "" || b.Product == s.Product) &&
		(b.Until.IsZero() || s.Now.Before(b.Until))
}

// Suspect is a device that wants to use a license, as blocks look at it.
type Suspect struct {
	LicenseID, Product string
	HardwareID         string
	// DeviceID finds what is stored of a device, its former hardware ids and its components; empty for one that is new.
	DeviceID   string
	IP         string
	Components map[string]string
	Now        time.Time
}
