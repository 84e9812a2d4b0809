package user

import (
	"context"
	"encoding/hex"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
)

// What wrong passwords cost. One address has to wait longer and longer at one account, and may fail only so often at
// all accounts together. Addresses that failed at an account within the hour wait for each other there, but never long.
// They do not use up what an address may do that did not fail, so that a stranger who fails on purpose keeps no
// customer out: the first attempts of addresses have their own number, which bounds what many addresses may guess.
// Addresses that the user signed in from before are held up by the first alone.
var (
	ofAddressAtAccount = ratelimit.Limit{
		PerHour: 60, Delay: ratelimit.Delay{After: 5, Shortest: 15 * time.Second, Longest: 15 * time.Minute},
	}
	ofAccount = ratelimit.Limit{
		PerHour: 200, Delay: ratelimit.Delay{After: 20, Shortest: time.Second, Longest: time.Minute},
	}
	ofAddress = ratelimit.Limit{PerMinute: 30, PerHour: 300}
	// firstAtAccount bounds the first attempts of all addresses, firstOfSite those from one site of IPv6, which is one
	// customer with many networks.
	firstAtAccount = ratelimit.Limit{PerHour: 200}
	firstOfSite    = ratelimit.Limit{PerHour: 10}
)

// The bits of IPv6 that name a network, which is counted as one address, and a site.
const (
	networkBits = 64
	siteBits    = 48
)

const (
	// maxKnown is how many addresses of a user are known.
	maxKnown = 5
	// nobodyDigits tell accounts apart that are not there, in hexadecimal: what is counted takes room in the database,
	// and anybody can invent e-mails.
	nobodyDigits = 4
)

// counted names what an attempt counts against: its address, the account, and both together.
type counted struct {
	address, account, pair string
	// site is empty for an address of IPv4.
	site string
	// known tells that the user signed in from the address before.
	known bool
}

// take counts a call of a key.
type take func(key string, l ratelimit.Limit) ratelimit.Decision

// admit counts an attempt, before its outcome is known so that many at once are no way around, and takes it back by
// passed.
func (s *SignIns) admit(ctx context.Context, u *User, a Attempt) (passed func(), err error) {
	var taken []string
	passed = func() {
		for _, key := range taken {
			s.Limiter.Refund(ctx, key)
		}
	}
	d := s.counted(u, a).admit(func(key string, l ratelimit.Limit) ratelimit.Decision {
		d := s.Limiter.Take(ctx, "sign-in|"+key, l)
		if d.Allowed {
			taken = append(taken, "sign-in|"+key)
		}
		return d
	})
	if !d.Allowed {
		passed()
		return nil, heldUp(d.RetryAfter)
	}
	return passed, nil
}

// heldUp refuses an attempt before the password is looked at.
func heldUp(wait time.Duration) error {
	seconds := int(math.Ceil(wait.Seconds()))
	return ratelimit.ErrExceeded.WithMessagef(
		"sign-in is locked for %d s, because too many wrong passwords came before; wait that long and try again",
		seconds).
		With("retry_after_seconds", seconds).WithRetryAfter(wait)
}

// admit is the decision on an attempt. The outcome shows in none of the limits.
func (c *counted) admit(take take) ratelimit.Decision {
	if !c.known {
		if d := take("from|"+c.address, ofAddress); !d.Allowed {
			return d
		}
	}
	d := take(c.pair, ofAddressAtAccount)
	first := d.Remaining == ofAddressAtAccount.PerHour-1
	if !d.Allowed || c.known || first && c.admitFirst(take) {
		return d
	}
	return take(c.account, ofAccount)
}

// admitFirst reports whether the first attempt of an address at the account need not wait for others.
func (c *counted) admitFirst(take take) bool {
	return (c.site == "" || take("site|"+c.site, firstOfSite).Allowed) &&
		take("first|"+c.account, firstAtAccount).Allowed
}

// counted is that of an attempt to sign in as u, who has no id where the account is not there.
func (s *SignIns) counted(u *User, a Attempt) *counted {
	from, site := s.network(a.IP), s.site(a.IP)
	c := &counted{address: from, account: u.ID, pair: u.ID + "|" + from, known: slices.Contains(u.KnownAddresses, from)}
	if site != "" {
		c.site = u.ID + "|" + site
	}
	if u.ID != "" {
		return c
	}
	sum := s.hash("account", a.Product+"\x00"+Fold(a.Email)+"\x00"+a.CustomerID)
	c.account = "nobody|" + sum[:nobodyDigits]
	c.pair = "nobody's|" + s.hash("pair", sum+from)[:nobodyDigits]
	if site != "" {
		c.site = "nobody's|" + s.hash("pair", sum+site)[:nobodyDigits]
	}
	return c
}

// network is a hash of the address that a call came from: of IPv6 it is that of the network of 64 bits, which one
// customer has.
func (s *SignIns) network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	if addr = addr.Unmap(); addr.Is6() {
		addr = prefix(addr, networkBits)
	}
	return s.hash("address", addr.String())
}

// site is a hash of the site of an address of IPv6, empty for others.
func (s *SignIns) site(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Unmap().Is6() {
		return ""
	}
	return s.hash("site", prefix(addr, siteBits).String())
}

func prefix(addr netip.Addr, bits int) netip.Addr {
	network, _ := addr.WithZone("").Prefix(bits)
	return network.Addr()
}

func (s *SignIns) hash(of, text string) string {
	mac := s.Ring.MAC("sign-in", []byte(of+"\x00"+text))
	return hex.EncodeToString(mac.Sum[:16])
}

// know notes where the user signed in from.
func (u *User) know(from string, now time.Time) {
	u.SignedInAt = now
	if from == "" {
		return
	}
	known := []string{from}
	for _, other := range u.KnownAddresses {
		if other != from && len(known) < maxKnown {
			known = append(known, other)
		}
	}
	u.KnownAddresses = known
}
