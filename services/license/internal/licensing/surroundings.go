package licensing

import "net/netip"

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
