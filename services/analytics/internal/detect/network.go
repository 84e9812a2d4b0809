package detect

import (
	"math"
	"net/netip"
	"strings"
)

// Network kinds as a state keeps them.
const (
	kindUnknown = iota
	kindPerson  // isp, business and whatever else people sit behind
	kindMobile
	kindHosting
	kindVPN
)

// Blocks carry their family in the top byte: the rest is the /24 of an IPv4 or the /48 of an IPv6 address.
const (
	familyShift = 56
	familyLocal = 1
	familyIPv4  = 4
	familyIPv6  = 6
	localBlock  = uint64(familyLocal) << familyShift
	kmPerDegree = 111.2
	nearbyKm    = 50 // two addresses closer than this by a geo database are one place: its error is of that size
)

// place is a network: a block of addresses and what a geo database said of it.
type place struct {
	// Block is 0 when the observation had no usable address.
	Block uint64
	// Lat and Lon are hundredths of a degree, about a kilometer.
	Lat, Lon int64
	ASN      uint64
	// Country is two ASCII letters, 0 when unknown.
	Country uint64
	Kind    uint64
}

// placeOf reads the network of an observation. All private addresses are one place, because they say nothing of where
// the client is, unless geo data came with them.
func placeOf(o *Observation) place {
	p := place{ASN: uint64(o.ASN), Kind: kindOf(o.NetKind)}
	if len(o.Country) == 2 {
		p.Country = uint64(o.Country[0])<<8 | uint64(o.Country[1])
	}
	if validDegrees(o.Lat, 90) && validDegrees(o.Lon, 180) {
		p.Lat, p.Lon = int64(math.Round(o.Lat*100)), int64(math.Round(o.Lon*100))
	}
	addr, err := netip.ParseAddr(o.IP)
	if err != nil || o.ViaProxy {
		return place{}
	}
	addr = addr.Unmap()
	if !p.known() && local(addr) {
		p.Block = localBlock
		return p
	}
	p.Block = blockOf(addr)
	return p
}

func validDegrees(v, limit float64) bool { return v >= -limit && v <= limit }

func kindOf(s string) uint64 {
	switch s {
	case "":
		return kindUnknown
	case "mobile":
		return kindMobile
	case "hosting":
		return kindHosting
	case "vpn":
		return kindVPN
	}
	return kindPerson
}

// local covers private, loopback, link-local and carrier-grade NAT addresses (100.64.0.0/10, RFC 6598).
func local(a netip.Addr) bool {
	if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	return a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xc0 == 64
}

func blockOf(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return familyIPv4<<familyShift | uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2])
	}
	b := a.As16()
	var v uint64
	for _, x := range b[:6] {
		v = v<<8 | uint64(x)
	}
	return familyIPv6<<familyShift | v
}

// AddressKey names the address state that an observation from ip belongs to: an IPv4 address itself, the /64 block of
// an IPv6 one (a customer has a whole block), and "" for text that is no address: such an observation has no address
// state. What comes through a proxy that nobody named has its own state, with viaProxy before the address.
func AddressKey(ip string, throughProxy bool) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	key := addr.String()
	if !addr.Is4() {
		key = netip.PrefixFrom(addr, 64).Masked().String()
	}
	if throughProxy {
		return viaProxy + key
	}
	return key
}

const viaProxy = "proxy "

// NetworkOf is the network of the address that the subject of a finding names, "" where it names none: the /24 of an
// IPv4 and the /48 of an IPv6 address. Who has one address of it often has them all.
func NetworkOf(subject string) string {
	address, isAddress := strings.CutPrefix(subject, addressPrefix)
	address, proxied := strings.CutPrefix(address, viaProxy)
	address, _, _ = strings.Cut(address, "/")
	addr, err := netip.ParseAddr(address)
	if !isAddress || err != nil {
		return ""
	}
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network := netip.PrefixFrom(addr, bits).Masked().String()
	if proxied {
		return viaProxy + network
	}
	return network
}

// addressPrefix begins the subjects of findings about addresses.
const addressPrefix = "ip:"

// known says whether a geo database knows the network.
func (p place) known() bool { return p.ASN != 0 || p.Country != 0 || p.located() }

func (p place) located() bool { return p.Lat != 0 || p.Lon != 0 }

// people says whether a person can be behind it: exits of hosting and VPN networks tell nothing of where somebody is.
func (p place) people() bool { return p.Block != 0 && p.Kind != kindHosting && p.Kind != kindVPN }

func (p place) family() uint64 { return p.Block >> familyShift }

// vicinity is the /16 of an IPv4 and the /32 of an IPv6 block: providers give the next address out of it.
func (p place) vicinity() uint64 {
	if p.family() == familyIPv6 {
		return p.Block >> 16
	}
	return p.Block >> 8
}

// sameProvider says whether both are of one network operator in one country.
func (p place) sameProvider(q place) bool {
	return p.ASN != 0 && p.ASN == q.ASN && p.Country == q.Country
}

// near says whether one client may own both addresses at a time: one vicinity, one carrier, one town, or the two
// families of one line.
func (p place) near(q place) bool {
	if p.located() && q.located() {
		return p.km(q) < nearbyKm || p.Kind == kindMobile && q.Kind == kindMobile && p.sameProvider(q)
	}
	if p.family() != q.family() || p.vicinity() == q.vicinity() {
		return true
	}
	return p.sameProvider(q)
}

// km is the distance, good enough below some thousand kilometers (plane with the longitude shrunk by latitude) and 0
// when one is unknown.
func (p place) km(q place) float64 {
	if !p.located() || !q.located() {
		return 0
	}
	lon := math.Abs(float64(p.Lon - q.Lon))
	lon = math.Min(lon, 36000-lon) / 100
	mean := float64(p.Lat+q.Lat) / 200 * math.Pi / 180
	return kmPerDegree * math.Hypot(float64(p.Lat-q.Lat)/100, lon*math.Cos(mean))
}

// digest is FNV-1a over the parts, each closed by a zero byte. 0 stands for "none" and is never returned for text.
func digest(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	empty := true
	for _, s := range parts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		empty = empty && s == ""
		h *= 1099511628211
	}
	if empty {
		return 0
	}
	return max(h, 1)
}
