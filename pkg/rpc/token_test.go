package rpc

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

func TestKeysAreReadAndWritten(t *testing.T) {
	key, err := ParseKey(FormatKey(license.Key))
	if err != nil || !key.Equal(license.Key) {
		t.Errorf("a private key: %v", err)
	}
	read, err := ParsePeers([]string{license.PeerEntry(), " " + analytics.PeerEntry() + "\n", licenseNext.PeerEntry()})
	if err != nil || !read.Knows(license) || !read.Knows(licenseNext) || !read.Knows(analytics) || len(read) != 2 {
		t.Errorf("got %v, %v", read, err)
	}
	if read.Knows(Identity{"analytics", license.Key}) {
		t.Error("a key of license counts for analytics")
	}
	for _, bad := range []string{"", "license", "license:", "license:abc",
		":" + strings.TrimPrefix(license.PeerEntry(), "license:"), license.PeerEntry() + "x"} {
		if _, err := ParsePeers([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func clientErrors(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		if err != nil {
			return nil, Error(err)
		}
		return res, nil
	}
}

func TestTokenAttacks(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	v := newVerifier("auth", peers, clock.NewFake(now))
	good := jwt.MapClaims{"iss": "license", "aud": "auth", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	kid := keyID(license.public())
	sign := func(method jwt.SigningMethod, key any, kid string, change map[string]any) string {
		claims := maps.Clone(good)
		for k, v := range change {
			claims[k] = v
			if v == nil {
				delete(claims, k)
			}
		}
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		raw, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + raw
	}
	ed := func(change map[string]any) string { return sign(jwt.SigningMethodEdDSA, license.Key, kid, change) }
	if who, err := v.verify([]string{ed(nil)}); err != nil || who.Issuer != "license" {
		t.Fatalf("got %q %v", who, err)
	}
	attacks := map[string][]string{
		"nothing":            nil,
		"empty":              {""},
		"two headers":        {ed(nil), ed(nil)},
		"no scheme":          {strings.TrimPrefix(ed(nil), "Bearer ")},
		"none":               {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, nil)},
		"public key as HMAC": {sign(jwt.SigningMethodHS256, []byte(license.public()), kid, nil)},
		"another's key":      {sign(jwt.SigningMethodEdDSA, analytics.Key, keyID(analytics.public()), nil)},
		"another's name":     {sign(jwt.SigningMethodEdDSA, license.Key, kid, map[string]any{"iss": "analytics"})},
		"another kid":        {sign(jwt.SigningMethodEdDSA, license.Key, keyID(licenseNext.public()), nil)},
		"no kid":             {sign(jwt.SigningMethodEdDSA, license.Key, "", nil)},
		"expired":            {ed(map[string]any{"exp": now.Add(-skew - time.Second).Unix()})},
		"no expiry":          {ed(map[string]any{"exp": nil})},
		"good for a year":    {ed(map[string]any{"exp": now.AddDate(1, 0, 0).Unix()})},
		"good for 2 minutes": {ed(map[string]any{"exp": now.Add(2 * time.Minute).Unix()})},
		"from the future":    {ed(map[string]any{"iat": now.Add(skew + time.Minute).Unix()})},
		"other audience":     {ed(map[string]any{"aud": "license"})},
		"no audience":        {ed(map[string]any{"aud": nil})},
		"no issuer":          {ed(map[string]any{"iss": nil})},
		"last bit changed":   {flip(ed(nil))},
	}
	for name, header := range attacks {
		if who, err := v.verify(header); err == nil {
			t.Errorf("%s: accepted as %q", name, who)
		}
	}
}

// Only a token that is refused for its time alone is worth another try, and its refusal says how wrong which clock is.
func TestTokensOfAnotherTime(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	v := newVerifier("auth", peers, clock.NewFake(now))
	for name, tt := range map[string]struct {
		id       Identity
		audience string
		off      time.Duration
		want     string
	}{
		"ahead":    {license, "auth", 11 * time.Second, "license is 11s ahead of that of auth (to within 30s)"},
		"behind":   {license, "auth", -71 * time.Second, "license is 1m11s behind that of auth (to within 30s)"},
		"audience": {license, "admin", -71 * time.Second, ""},
		"key":      {Identity{"license", analytics.Key}, "auth", -71 * time.Second, ""},
		"unknown":  {NewIdentity("license"), "auth", 11 * time.Second, ""},
	} {
		raw, err := newSigner(tt.id, tt.audience, clock.NewFake(now.Add(tt.off))).token()
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.verify([]string{"Bearer " + raw})
		if isTyped(err) != (tt.want != "") || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flip(token string) string {
	last := token[len(token)-1]
	if last == 'A' {
		return token[:len(token)-1] + "E"
	}
	return token[:len(token)-1] + "A"
}

// TestTokensOfServicesLiveForAMinute, whatever the constant says that both sides follow.
func TestTokensOfServicesLiveForAMinute(t *testing.T) {
	s := newSigner(license, "auth", clock.NewFake(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)))
	own, err := s.token()
	if err != nil {
		t.Fatal(err)
	}
	named, err := s.sign(s.clock.Now(), &Actor{}, "GET /")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{own, named} {
		var claims tokenClaims
		if _, _, err := jwt.NewParser().ParseUnverified(raw, &claims); err != nil {
			t.Fatal(err)
		}
		if life := claims.ExpiresAt.Sub(claims.IssuedAt.Time); life != time.Minute {
			t.Errorf("a token lives for %v", life)
		}
	}
}

func TestSignerRenewsInTime(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	s := newSigner(license, "auth", now)
	v := newVerifier("auth", peers, now)
	first, _ := s.token()
	for range 20 {
		now.Advance(13 * time.Second)
		token, err := s.token()
		if err != nil {
			t.Fatal(err)
		}
		now.Advance(29 * time.Second) // what it hands out is good for that long
		if _, err := v.verify([]string{"Bearer " + token}); err != nil {
			t.Fatal(err)
		}
	}
	if last, _ := s.token(); last == first {
		t.Error("the same token forever")
	}
	now.Advance(-time.Hour) // a clock set back must not make a token of the future
	token, _ := s.token()
	if _, err := v.verify([]string{"Bearer " + token}); err != nil {
		t.Error(err)
	}
}
