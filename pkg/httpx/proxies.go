package httpx

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

const forwardedFor = "X-Forwarded-For"

// proxies are the networks whose X-Forwarded-For is believed.
type proxies []netip.Prefix

// CheckProxies tells which entry of list is neither an address nor a CIDR.
func CheckProxies(list []string) error {
	_, err := parseProxies(list)
	return err
}

func parseProxies(list []string) (proxies, error) {
	var out proxies
	for _, entry := range list {
		if p, err := netip.ParsePrefix(entry); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a CIDR such as 10.0.0.0/8", entry)
		}
		a = a.Unmap()
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

func (p proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client and whether it is the client's own.
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
		return p.walk(addr, forwarded).String(), true
	}
	// Only a peer in our own networks can be a proxy somebody forgot to name. A stranger who sends the header is taken by the
	// address he has: otherwise the header would switch off his limits.
	return peer, !(addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast())
}

// walk goes back from the nearest hop to the first one that is not a trusted proxy. All header lines count: some proxies add
// a line of their own instead of extending the client's.
func (p proxies) walk(nearest netip.Addr, lines []string) netip.Addr {
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(nearest); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		nearest = hop.Unmap().WithZone("")
	}
	return nearest
}

// hostOf cuts the port off without the allocations of net.SplitHostPort; addresses come from net/http and are well formed.
func hostOf(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr
	}
	return strings.Trim(addr[:i], "[]")
}

// throttle lets one through per minute.
type throttle struct{ last atomic.Int64 }

func (t *throttle) allow(now time.Time) bool {
	last := t.last.Load()
	return now.Unix()-last >= 60 && t.last.CompareAndSwap(last, now.Unix())
}
