package lease

import (
	"net/netip"
	"sync"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// networksKept bounds how many leases a process knows the networks of: about 3 MB.
const networksKept = 20_000

// networks remembers from where this process last saw each lease taken or renewed. It is memory alone: a renewal writes
// nothing but its end.
type networks struct {
	mu   sync.Mutex
	last map[string]netip.Prefix
}

// vicinity is the /16 of an IPv4 and the /32 of an IPv6 address, out of which providers give the next address.
func vicinity(ip string) netip.Prefix {
	bits := 32
	addr, err := netip.ParseAddr(ip)
	if addr = addr.Unmap(); addr.Is4() {
		bits = 16
	}
	if err != nil {
		return netip.Prefix{}
	}
	p, _ := addr.Prefix(bits) // both families have so many
	return p
}

// moved notes from where a lease was taken or renewed, and reports whether that is another vicinity than before.
func (n *networks) moved(leaseID, ip string) bool {
	at := vicinity(ip)
	if !at.IsValid() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	before, known := n.last[leaseID]
	if n.last == nil {
		n.last = map[string]netip.Prefix{}
	}
	if !known && len(n.last) >= networksKept {
		dropSome(n.last, networksKept) // those that live on are known again at their next renewal
	}
	n.last[leaseID] = at
	return known && before != at
}

// noteNetwork publishes that a lease is renewed from elsewhere: copies of a machine that share one lease show in
// nothing else.
func (s *Leases) noteNetwork(g *Grant, c *licensing.Client) {
	l := &g.Lease
	if !s.networks.moved(l.ID, c.IP) || g.Created {
		return
	}
	s.Seats.Telemetry.Record(licensing.Source, l.LicenseID, s.Seats.Clock.Now(), &eventsv1.LicenseHeartbeat{
		LicenseId:  l.LicenseID,
		HardwareId: l.HardwareID,
		DeviceName: licensing.CutText(l.DeviceName),
		Os:         licensing.CutText(c.OS()),
		AppVersion: licensing.CutText(c.AppVersion),
		SessionId:  licensing.CutText(l.SessionID),
		Ip:         c.IP,
		ViaProxy:   c.ViaProxy,
		ClientTime: event.Timestamp(c.Time),
	})
}
