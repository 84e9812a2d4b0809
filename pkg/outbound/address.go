package outbound

import (
	"net/netip"
	"slices"
)

// reach says who can reach an address.
type reach int

const (
	// never is for addresses that nothing of use answers at, and for those that must not be asked in anybody's name:
	// the metadata services of clouds hand out the credentials of the machine.
	never reach = iota
	// private addresses are those of this computer and of the networks around it, called only with Policy.Private.
	private
	// public addresses are everybody's.
	public
)

// Everything that is not known to be public or private is refused, so that ranges of later standards are, too. The
// registries are those of IANA for special-purpose addresses.
var (
	privateNetworks = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		"::1/128", "fc00::/7")
	specialNetworks = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
		"192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/3",
		"2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
	// metadataServices are those whose addresses lie in networks that could be asked otherwise.
	metadataServices = prefixes("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::/32")

	globalUnicast = netip.MustParsePrefix("2000::/3")
	// Addresses in these carry one of IPv4, which a gateway on the way calls.
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// reachOf tells who can reach an address.
func reachOf(a netip.Addr) reach {
	if a.Zone() != "" {
		return never
	}
	a = a.Unmap()
	switch {
	case in(metadataServices, a), in(specialNetworks, a):
		return never
	case in(privateNetworks, a):
		return private
	case a.Is4():
		return public
	case nat64.Contains(a):
		return reachThrough(embedded(a, 12))
	case !globalUnicast.Contains(a):
		return never
	case sixToFour.Contains(a):
		return reachThrough(embedded(a, 2))
	case isISATAP(a):
		return reachThrough(embedded(a, 12))
	}
	return public
}

// reachThrough is the reach of an address that carries one of IPv4: it is a way to public servers, and to no others.
func reachThrough(inner netip.Addr) reach {
	if reachOf(inner) == public {
		return public
	}
	return never
}

func in(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// embedded is the address of IPv4 that is in a at a byte.
func embedded(a netip.Addr, at int) netip.Addr {
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[at : at+4]))
}

// isISATAP reports whether a router may take a for a tunnel to the address of IPv4 at its end (RFC 5214).
func isISATAP(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
