package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

const forwardedFor = "X-Forwarded-For"

// proxies are the networks whose X-Forwarded-For is believed: LATCHKEY_TRUSTED_PROXIES.
type proxies []netip.Prefix

// CheckProxies tells which entry of list is neither an address nor a CIDR, or where that is strict, stands for every
// address: then each client would choose the address that it counts for.
func CheckProxies(list []string, strict bool) error {
	networks, err := parseProxies(list)
	if err != nil || !strict {
		return err
	}
	for i, p := range networks {
		if p.Bits() == 0 {
			return fmt.Errorf("%q trusts every address, so any client could choose its own; "+
				"name the addresses of the proxies", list[i])
		}
	}
	return nil
}

func parseProxies(list []string) (proxies, error) {
	var out proxies
	for _, entry := range list {
		p, err := parseNetwork(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a CIDR such as 10.0.0.0/8", entry)
		}
		out = append(out, p)
	}
	return out, nil
}

// parseNetwork reads an address or a CIDR. IPv4 written as IPv6 becomes IPv4, which is how addresses are compared.
func parseNetwork(entry string) (netip.Prefix, error) {
	const mappedBits = 96 // of ::ffff:0:0/96
	p, err := netip.ParsePrefix(entry)
	if err != nil {
		a, err := netip.ParseAddr(entry)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errors.New("not a network")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p.Masked(), nil
}

func (p proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address that a request counts for, and whether it is the client's own. What a request says of
// itself is believed from trusted proxies alone; from others it never changes the address, so that no header evades a
// limit.
func (p proxies) client(r *http.Request) (ip string, own bool) {
	peer := hostOf(r.RemoteAddr)
	forwarded := r.Header[forwardedFor]
	if len(forwarded) == 0 && r.Header["Forwarded"] == nil && r.Header["X-Real-Ip"] == nil {
		return peer, true
	}
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return peer, true
	}
	addr = addr.Unmap()
	if p.trusts(addr) {
		client, ok := p.walk(addr, forwarded)
		return client.String(), ok
	}
	// A peer in a private network may be a proxy that nobody named; a peer on the Internet that sends the header is
	// taken for a client that made it up.
	return peer, !(addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast())
}

// walk goes back from the nearest hop to the first one that is not a trusted proxy; ok is false where the header ends
// before or is damaged. All header lines count: some proxies add their own line instead of extending the client's.
func (p proxies) walk(nearest netip.Addr, lines []string) (client netip.Addr, ok bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var hop string
			rest, hop, more = cutLast(rest)
			if hop == "" {
				continue
			}
			addr, err := parseHop(hop)
			if err != nil {
				return nearest, false
			}
			if nearest, ok = addr, true; !p.trusts(nearest) {
				return nearest, true
			}
		}
	}
	return nearest, ok
}

// cutLast takes the last element off a list with commas.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", strings.TrimSpace(list), false
	}
	return list[:i], strings.TrimSpace(list[i+1:]), true
}

// parseHop reads an element of X-Forwarded-For. Some proxies add the port, and then brackets to IPv6.
func parseHop(hop string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(hop)
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), err
}

// hostOf cuts the port off without the allocations of net.SplitHostPort; addresses come from net/http and are well
// formed.
func hostOf(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr
	}
	return strings.Trim(addr[:i], "[]")
}
