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

// InForce tells whether the block holds now for a device on the license.
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

// Surroundings are where a device is, and what stands against it. Nil, where nothing of it is asked, passes all checks.
type Surroundings struct {
	// Block is nil for a device that nobody has blocked.
	Block *Block
	// Addr is invalid where the address of the client is not known.
	Addr netip.Addr
	// Country is empty where it is not known; Located tells that a database was asked.
	Country string
	Located bool
	IsVM    bool
}

// The rules about the surroundings, by the names of their terms.
const (
	ruleNetworks  = "networks"
	ruleCountries = "countries"
	rulePreventVM = "prevent_vm"
)

// Broken is the name of the term of l that the surroundings do not keep, empty where they keep all.
func (s *Surroundings) Broken(l *License) string {
	if s == nil || l.Devices == nil {
		return ""
	}
	switch d := l.Devices; {
	case s.Addr.IsValid() && !d.Networks.admits(func(n netip.Prefix) bool { return n.Contains(s.Addr) }):
		return ruleNetworks
	case s.Located && !d.Countries.admits(func(country string) bool { return country == s.Country }):
		return ruleCountries
	case d.PreventVM && s.IsVM:
		return rulePreventVM
	}
	return ""
}

// facts are what of the surroundings a rule was asked about: its name with what was found.
func (s *Surroundings) facts(l *License) (observed, limit any) {
	if s == nil || l.Devices == nil {
		return nil, nil
	}
	found := map[string]any{"is_vm": s.IsVM, "address": nil, "country": textValue(s.Country)}
	if s.Addr.IsValid() {
		found["address"] = s.Addr.String()
	}
	d := l.Devices
	return found, map[string]any{
		ruleNetworks: d.Networks, ruleCountries: d.Countries, rulePreventVM: d.PreventVM,
	}
}
