package user

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
)

// What wrong passwords cost. One address has to wait longer and longer at one account; so have all strange addresses
// together at one account, but never long, so that a stranger who fails on purpose keeps no customer out; and one
// address may fail only so often at all accounts together. Addresses that the user signed in from before are held up
// by the first alone.
var (
	ofAddressAtAccount = ratelimit.Limit{
		PerHour: 60, Delay: ratelimit.Delay{After: 5, Shortest: 15 * time.Second, Longest: 15 * time.Minute},
	}
	ofAccount = ratelimit.Limit{
		PerHour: 200, Delay: ratelimit.Delay{After: 20, Shortest: time.Second, Longest: time.Minute},
	}
	ofAddress = ratelimit.Limit{PerMinute: 30, PerHour: 300}
)

const (
	// maxKnown is how many addresses of a user are known.
	maxKnown = 5
	// nobodyDigits tell accounts apart that are not there, in hexadecimal: what is counted takes room in the database,
	// and anybody can invent e-mails.
	nobodyDigits = 4
)

// guess is a limit that an attempt counts against.
type guess struct {
	quota ratelimit.Quota
	key   string
}

// admit counts an attempt, before its outcome is known so that many at once are no way around, and takes it back by
// passed.
func (s *SignIns) admit(ctx context.Context, u *User, a Attempt) (passed func(), err error) {
	var counted []guess
	passed = func() {
		for _, g := range counted {
			g.quota.Refund(ctx, g.key)
		}
	}
	for _, g := range s.guesses(u, a) {
		if err := g.quota.Admit(ctx, g.key); err != nil {
			passed()
			return nil, err
		}
		counted = append(counted, g)
	}
	return passed, nil
}

// guesses are the limits of an attempt to sign in as u, who has no id where the account is not there. The outcome
// shows in none of them.
func (s *SignIns) guesses(u *User, a Attempt) []guess {
	from := s.network(a.IP)
	account, pair := u.ID, u.ID+"|"+from
	if u.ID == "" {
		sum := s.hash("account", a.Product+"\x00"+Fold(a.Email)+"\x00"+a.CustomerID)
		account = "nobody|" + sum[:nobodyDigits]
		pair = "nobody's|" + s.hash("pair", sum+from)[:nobodyDigits]
	}
	limit := func(l ratelimit.Limit, key string) guess {
		return guess{ratelimit.Quota{Limiter: s.Limiter, Limit: l}, "sign-in|" + key}
	}
	if slices.Contains(u.KnownAddresses, from) {
		return []guess{limit(ofAddressAtAccount, pair)}
	}
	return []guess{
		limit(ofAddress, "from|"+from), limit(ofAddressAtAccount, pair), limit(ofAccount, account),
	}
}

// network is a hash of the address that a call came from: of IPv6 it is that of the network of 64 bits, which one
// customer has.
func (s *SignIns) network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	if addr = addr.Unmap(); addr.Is6() {
		network, _ := addr.WithZone("").Prefix(64)
		addr = network.Addr()
	}
	return s.hash("address", addr.String())
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
