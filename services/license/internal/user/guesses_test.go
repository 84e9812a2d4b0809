package user

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

// TestNobodiesAreBounded: however many e-mails are invented, from however many addresses, few accounts are counted.
func TestNobodiesAreBounded(t *testing.T) {
	ring, err := keyring.New("license", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &SignIns{Ring: ring}
	addresses, accounts := map[string]bool{}, map[string]bool{}
	for i := range 200_000 {
		a := Attempt{Product: "studio", Email: fmt.Sprint(i, "@example.com"), IP: fmt.Sprint("203.0.113.", i%10)}
		for _, g := range s.guesses(&User{}, a) {
			if g.quota.Limit == ofAddress {
				addresses[g.key] = true
			} else {
				accounts[g.key] = true
			}
		}
	}
	if len(addresses) != 10 || len(accounts) > 2<<(4*nobodyDigits) {
		t.Errorf("%d addresses and %d accounts are counted", len(addresses), len(accounts))
	}
}
