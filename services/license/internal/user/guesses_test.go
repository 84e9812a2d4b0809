package user

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestNobodiesAreBounded: however many e-mails are invented, from however many addresses, few accounts are counted.
func TestNobodiesAreBounded(t *testing.T) {
	ring, err := keyring.New("license", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &SignIns{Ring: ring}
	addresses, accounts := map[string]bool{}, map[string]bool{}
	for i := range 100_000 {
		for _, ip := range []string{fmt.Sprint("203.0.113.", i%10), fmt.Sprintf("2001:db8:%x:1::1", i%10)} {
			c := s.counted(&User{}, Attempt{Product: "studio", Email: fmt.Sprint(i, "@example.com"), IP: ip})
			c.admit(func(key string, l ratelimit.Limit) ratelimit.Decision {
				if l == ofAddress {
					addresses[key] = true
				} else {
					accounts[key] = true
				}
				return ratelimit.Decision{Allowed: true, Remaining: ofAddressAtAccount.PerHour - 1 - i%2}
			})
		}
	}
	if len(addresses) != 20 || len(accounts) > 4<<(4*nobodyDigits) {
		t.Errorf("%d addresses and %d accounts are counted", len(addresses), len(accounts))
	}
}

// siege is an attack on the account of a user, and the user, who has the password.
type siege struct {
	t     *testing.T
	s     *SignIns
	clock *clock.Fake
	user  User
	// admitted are the times of the attacker's guesses.
	admitted []time.Time
}

func newSiege(t *testing.T) *siege {
	ring, err := keyring.New("license", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	return &siege{
		t: t, clock: now, user: User{User: licensing.User{ID: "u"}},
		s: &SignIns{Ring: ring, Limiter: ratelimit.NewLocal(now)},
	}
}

func (g *siege) from(ip string) (passed func(), err error) {
	return g.s.admit(g.t.Context(), &g.user, Attempt{Product: "studio", Email: "ada@example.com", IP: ip})
}

// seconds has the attacker guess once a second, from the addresses in turn.
func (g *siege) seconds(n, addresses int, address func(i int) string) {
	for range n {
		if _, err := g.from(address(rand.IntN(addresses))); err == nil {
			g.admitted = append(g.admitted, g.clock.Now())
		}
		g.clock.Advance(time.Second)
	}
}

// worst is the most guesses that the attacker had in an hour.
func (g *siege) worst() (most int) {
	for i, first := range g.admitted {
		n, _ := slices.BinarySearchFunc(g.admitted, first.Add(time.Hour), time.Time.Compare)
		most = max(most, n-i)
	}
	return most
}

// TestASiegeKeepsNobodyOut: while an attacker with many addresses goes on and on, the user signs in at once from one
// that did not fail there, and so many guesses are not exceeded in any hour.
func TestASiegeKeepsNobodyOut(t *testing.T) {
	g := newSiege(t)
	for visit := range 40 {
		g.seconds(300, 120, func(i int) string { return fmt.Sprint("127.7.1.", i) })
		passed, err := g.from(fmt.Sprint("127.9.9.", visit))
		if err != nil {
			t.Fatalf("the user is kept out after %d s: %v", 300*(visit+1), err)
		}
		passed()
	}
	if n := g.worst(); n < 120 || n > firstAtAccount.PerHour+ofAccount.PerHour {
		t.Errorf("%d guesses in an hour", n)
	}
}

// TestGuessesAreBoundedHoweverManyAddresses: beyond the first attempts of many addresses all wait for each other, save
// those of the user. One site of IPv6 does not use these up.
func TestGuessesAreBoundedHoweverManyAddresses(t *testing.T) {
	all := firstAtAccount.PerHour + ofAccount.PerHour
	for name, tc := range map[string]struct {
		address func(i int) string
		most    int
		// others tells that addresses of elsewhere are not held up.
		others bool
	}{
		"IPv4":          {func(i int) string { return fmt.Sprintf("10.1.%d.%d", i>>8, i&255) }, all, false},
		"sites of IPv6": {func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, all, false},
		"one site of them": {func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) },
			firstOfSite.PerHour + ofAccount.PerHour, true},
		"one network of it": {func(i int) string { return fmt.Sprintf("2001:db8:1:1::%x", i) },
			ofAddressAtAccount.PerHour, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newSiege(t)
			passed, err := g.from("203.0.113.1")
			if err != nil {
				t.Fatal(err)
			}
			passed()
			g.user.know(g.s.network("203.0.113.1"), g.clock.Now())
			g.seconds(3*3600, 5000, tc.address)
			if n := g.worst(); n > tc.most {
				t.Errorf("%d guesses in an hour, more than %d", n, tc.most)
			}
			if _, err := g.from("203.0.113.1"); err != nil {
				t.Errorf("a known address: %v", err)
			}
			if _, err := g.from("203.0.113.2"); tc.others && err != nil {
				t.Errorf("another address: %v", err)
			}
		})
	}
}
