package refusal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

var from = Origin{IP: "192.0.2.1", ViaProxy: true}

// told is what a recorder counted and published.
type told struct {
	reasons   map[string]int
	published []Refusal
}

func recorder(c clock.Clock) (*Recorder, *told) {
	t := &told{reasons: map[string]int{}}
	return New(Options{
		Clock: c, Count: func(reason string) { t.reasons[reason]++ }, Publish: func(r Refusal) {
			t.published = append(t.published, r)
		},
	}), t
}

func TestNote(t *testing.T) {
	ours := Token{Chain: "f", LicenseID: "l", HardwareID: "pc", Origin: from}
	for name, tt := range map[string]struct {
		err       error
		token     Token
		reason    string
		published string
	}{
		"revoked": {token.Refused("revoked"), ours, "revoked", "INVALID_TOKEN"},
		"no seat": {apierr.New(apierr.Forbidden, "DEVICE_NOT_ACTIVATED", ""), ours, "device_not_activated",
			"DEVICE_NOT_ACTIVATED"},
		"no license": {apierr.New(apierr.NotFound, "LICENSE_NOT_FOUND", ""), ours, "license_not_found",
			"LICENSE_NOT_FOUND"},
		"made up":           {token.Refused("signature"), Token{Origin: from}, "signature", ""},
		"passed":            {nil, ours, "", ""},
		"too often":         {apierr.New(apierr.RateLimited, "RATE_LIMIT_EXCEEDED", ""), ours, "", ""},
		"failure of ours":   {errors.New("broken"), ours, "", ""},
		"peer service away": {apierr.ErrUnavailable, ours, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, got := recorder(clock.NewFake(time.Now()))
			if err := r.Note(tt.err, tt.token); !errors.Is(err, tt.err) {
				t.Errorf("it returns %v", err)
			}
			if want := map[string]int{tt.reason: 1}; tt.reason != "" && !cmp.Equal(got.reasons, want) ||
				tt.reason == "" && len(got.reasons) > 0 {
				t.Errorf("counted %v", got.reasons)
			}
			if tt.published == "" && len(got.published) > 0 ||
				tt.published != "" && (len(got.published) != 1 || got.published[0].ErrorCode != tt.published ||
					got.published[0].Token != ours) {
				t.Errorf("published %+v", got.published)
			}
		})
	}
}

// TestEventsOfAChainAreLimited: ten within any minute, and the next one says how many were left out.
func TestEventsOfAChainAreLimited(t *testing.T) {
	c := clock.NewFake(time.Now())
	r, got := recorder(c)
	for range 30 {
		_ = r.Note(token.Refused("revoked"), Token{Chain: "a"})
	}
	_ = r.Note(token.Refused("revoked"), Token{Chain: "b"})
	c.Advance(time.Minute)
	_ = r.Note(token.Refused("revoked"), Token{Chain: "a"})
	var counts []int
	for _, p := range got.published {
		counts = append(counts, p.Count)
	}
	if want := []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 21}; !cmp.Equal(counts, want) {
		t.Errorf("the events stand for %v, want %v", counts, want)
	}
	if got.reasons["revoked"] != 32 {
		t.Errorf("the metric counted %d", got.reasons["revoked"])
	}
}

// TestRefusalsAreToldAfterTheClockWasSetBack, and not only once it comes to where it was; nor are chains watched until
// then.
func TestRefusalsAreToldAfterTheClockWasSetBack(t *testing.T) {
	c := clock.NewFake(time.Now())
	r, got := recorder(c)
	for range publishedPerMinute {
		_ = r.Note(token.Refused("revoked"), Token{Chain: "a"})
	}
	for i := range chainsWatched - 1 {
		_ = r.Note(token.Refused("revoked"), Token{Chain: fmt.Sprint(i), LicenseID: fmt.Sprint(i / 100)})
	}
	before := len(got.published)
	c.Advance(-24 * time.Hour)
	_ = r.Note(token.Refused("revoked"), Token{Chain: "a"})
	_ = r.Note(token.Refused("revoked"), Token{Chain: "another"})
	if n := len(got.published) - before; n != 2 {
		t.Errorf("%d of 2 refusals were told", n)
	}
}

// TestChainsAreBounded: more than are watched only count; after an hour there is room again.
func TestChainsAreBounded(t *testing.T) {
	c := clock.NewFake(time.Now())
	r, got := recorder(c)
	for i := range chainsWatched + 5 {
		_ = r.Note(token.Refused("revoked"), Token{Chain: fmt.Sprint(i), LicenseID: fmt.Sprint(i / 100)})
	}
	if len(got.published) != chainsWatched || r.chains.watched != chainsWatched {
		t.Errorf("%d published, %d watched", len(got.published), r.chains.watched)
	}
	c.Advance(time.Hour + time.Second)
	_ = r.Note(token.Refused("revoked"), Token{Chain: "late"})
	if len(got.published) != chainsWatched+1 || r.chains.watched != 1 {
		t.Errorf("an hour later: %d published, %d watched", len(got.published), r.chains.watched)
	}
}

// TestALicenseTakesNoPlacesOfOthers: one that has more families than places has its own wait for each other, and all of
// its refusals are counted.
func TestALicenseTakesNoPlacesOfOthers(t *testing.T) {
	c := clock.NewFake(time.Now())
	r, got := recorder(c)
	const tokens = chainsWatched + 5
	for i := range tokens {
		_ = r.Note(token.Refused("revoked"), Token{Chain: fmt.Sprint(i), LicenseID: "greedy"})
	}
	if n := len(got.published); n != chainsOfLicense+publishedPerMinute {
		t.Errorf("%d published, want one of each chain and ten of the rest", n)
	}
	_ = r.Note(token.Refused("revoked"), Token{Chain: "other", LicenseID: "other"})
	if last := got.published[len(got.published)-1]; last.LicenseID != "other" {
		t.Errorf("of another license: %+v", last)
	}
	c.Advance(time.Minute)
	_ = r.Note(token.Refused("revoked"), Token{Chain: fmt.Sprint(tokens), LicenseID: "greedy"})
	counted := 0
	for _, p := range got.published {
		counted += p.Count
	}
	if counted != tokens+2 {
		t.Errorf("%d refusals are told of, want %d", counted, tokens+2)
	}
}

func TestTokens(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(c jwt.Claims) string {
		raw, err := token.Sign(key, "k", c)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	subject := jwt.RegisteredClaims{Subject: "l"}
	access := sign(claims.Access{RegisteredClaims: subject, HardwareID: "pc", FamilyID: "f"})
	offline := sign(claims.Offline{RegisteredClaims: subject, HardwareID: "pc"})
	nobody := Token{Origin: from}
	for name, tt := range map[string]struct{ got, want Token }{
		"access":          {Signed(access, from), Token{"f", "l", "pc", from}},
		"offline":         {Signed(offline, from), Token{"l|pc", "l", "pc", from}},
		"ended":           {Verified(token.Refused("expired"), access, from), Signed(access, from)},
		"bad signature":   {Verified(token.Refused("signature"), access, from), nobody},
		"no verdict":      {Verified(apierr.ErrUnavailable, access, from), nobody},
		"no token at all": {Signed("x.y.z", from), nobody},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, tt.got, tt.want)
		}
	}
}
