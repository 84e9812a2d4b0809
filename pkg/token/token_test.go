package token_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// keys is a fixed key set.
type keys map[string]ed25519.PublicKey

func (k keys) PublicKey(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if key, ok := k[kid]; ok {
		return key, nil
	}
	return nil, token.Refused("key")
}

func newKey(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func access(change ...func(*claims.Access)) *claims.Access {
	c := &claims.Access{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: claims.Issuer, Audience: jwt.ClaimStrings{claims.AudienceAccess}, Subject: "license-1",
			ID:       "token-1",
			IssuedAt: jwt.NewNumericDate(start), ExpiresAt: jwt.NewNumericDate(start.Add(time.Hour)),
		},
		HardwareID: "device-1", FamilyID: "family-1",
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func sign(t testing.TB, private ed25519.PrivateKey, c jwt.Claims) string {
	t.Helper()
	raw, err := token.Sign(private, "k1", c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func reason(err error) string {
	var e *apierr.Error
	if !errors.As(err, &e) || !errors.Is(err, token.ErrInvalid) {
		return ""
	}
	r, _ := e.Details["reason"].(string)
	return r
}

func TestVerify(t *testing.T) {
	public, private := newKey(t)
	_, stranger := newKey(t)
	good := sign(t, private, access())
	tests := []struct {
		name, raw, reason string
		after             time.Duration
	}{
		{name: "good", raw: good},
		{name: "last moment", raw: good, after: time.Hour - time.Microsecond},
		{name: "expired, without any leeway", raw: good, after: time.Hour, reason: "expired"},
		{name: "clocks that differ a little", raw: good, after: -5 * time.Second},
		{name: "from the future", raw: good, after: -6 * time.Second, reason: "not_yet_valid"},
		{name: "other key", raw: sign(t, stranger, access()), reason: "signature"},
		{name: "issuer", raw: sign(t, private, access(func(c *claims.Access) { c.Issuer = "x" })), reason: "issuer"},
		{name: "audience", raw: sign(t, private, access(func(c *claims.Access) {
			c.Audience = jwt.ClaimStrings{claims.AudienceOffline}
		})), reason: "audience"},
		{name: "no audience", raw: sign(t, private, access(func(c *claims.Access) { c.Audience = nil })),
			reason: "claims"},
		{name: "no exp", raw: sign(t, private, access(func(c *claims.Access) { c.ExpiresAt = nil })), reason: "claims"},
		{name: "no iat", raw: sign(t, private, access(func(c *claims.Access) { c.IssuedAt = nil })), reason: "claims"},
		{name: "no sub", raw: sign(t, private, access(func(c *claims.Access) { c.Subject = "" })), reason: "claims"},
		{name: "empty", raw: "", reason: "malformed"},
		{name: "dots", raw: strings.Repeat(".", 5<<20), reason: "malformed"},
		{name: "too long", raw: good + strings.Repeat("A", 8<<10), reason: "malformed"},
		{name: "padded", raw: good + "==", reason: "malformed"},
	}
	for _, tt := range tests {
		for name, verify := range verifiers(keys{"k1": public}, clock.NewFake(start.Add(tt.after))) {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				for range 2 { // the second time from memory
					var got claims.Access
					err := verify(t.Context(), tt.raw, &got)
					if reason(err) != tt.reason || (err == nil) != (tt.reason == "") {
						t.Fatalf("error %v, want reason %q", err, tt.reason)
					}
					if err == nil && (got.Subject != "license-1" || got.HardwareID != "device-1" ||
						got.FamilyID != "family-1") {
						t.Errorf("claims %+v", got)
					}
				}
			})
		}
	}
}

func verifiers(k keys, now clock.Clock) map[string]func(context.Context, string, jwt.Claims) error {
	return map[string]func(context.Context, string, jwt.Claims) error{
		"once": func(ctx context.Context, raw string, into jwt.Claims) error {
			return token.Verify(ctx, k, now, claims.AudienceAccess, raw, into)
		},
		"remembered": token.NewVerifier(k, now, claims.AudienceAccess).Verify,
	}
}

// Every single altered character must be noticed, also the bits that base64 leaves unused.
func TestEveryAlteredCharacterIsNoticed(t *testing.T) {
	public, private := newKey(t)
	good := sign(t, private, access())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		for _, other := range []byte{alphabet[(strings.IndexByte(alphabet, good[i])+1)%64], '=', '.'} {
			if other == good[i] {
				continue
			}
			raw := good[:i] + string(other) + good[i+1:]
			if err := token.Verify(t.Context(), keys{"k1": public}, clock.NewFake(start), claims.AudienceAccess, raw,
				&claims.Access{}); err == nil {
				t.Fatalf("character %d may be %q", i, other)
			}
		}
	}
}

func TestForgedHeaders(t *testing.T) {
	public, private := newKey(t)
	payload, err := json.Marshal(access())
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{
		`{"alg":"none","kid":"k1"}`, `{"alg":"NONE","kid":"k1"}`, `{"alg":"","kid":"k1"}`, `{"kid":"k1"}`,
		`{"alg":"HS256","kid":"k1"}`,
		`{"alg":"ES256","kid":"k1"}`, `{"alg":"RS256","kid":"k1"}`, `{"alg":"EdDSA"}`, `{"alg":"EdDSA","kid":""}`,
		`{"alg":"EdDSA","kid":["k1"]}`,
		`{"alg":"EdDSA","kid":"k1","crit":["exp"]}`, `{"alg":"EdDSA","kid":"https://example.com/key"}`,
	} {
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
			base64.RawURLEncoding.EncodeToString(payload)
		raw := unsigned + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(unsigned)))
		if err := token.Verify(t.Context(), keys{"k1": public}, clock.NewFake(start), claims.AudienceAccess, raw,
			&claims.Access{}); reason(err) == "" {
			t.Errorf("%s: %v", header, err)
		}
	}
}

// The public key is no secret: as a password it would let anybody sign.
func TestThePublicKeyIsNoPassword(t *testing.T) {
	public, _ := newKey(t)
	encoded := base64.RawURLEncoding.EncodeToString(public)
	for name, password := range map[string][]byte{
		"bytes": public, "base64": []byte(encoded),
		"JWKS": token.EncodeJWKS(map[string]ed25519.PublicKey{"k1": public}), "nothing": {},
	} {
		forged := jwt.NewWithClaims(jwt.SigningMethodHS256, access())
		forged.Header["kid"] = "k1"
		raw, err := forged.SignedString(password)
		if err != nil {
			t.Fatal(err)
		}
		for how, verify := range verifiers(keys{"k1": public}, clock.NewFake(start)) {
			if err := verify(t.Context(), raw, &claims.Access{}); reason(err) == "" {
				t.Errorf("signed with %s, verified %s: %v", name, how, err)
			}
		}
	}
}

func TestVerifierNoticesExpiryOfWhatItRemembers(t *testing.T) {
	public, private := newKey(t)
	now := clock.NewFake(start)
	v := token.NewVerifier(keys{"k1": public}, now, claims.AudienceAccess)
	raw := sign(t, private, access(func(c *claims.Access) { c.ExpiresAt = jwt.NewNumericDate(start.Add(time.Minute)) }))
	if err := v.Verify(t.Context(), raw, &claims.Access{}); err != nil {
		t.Fatal(err)
	}
	now.Advance(time.Minute)
	if err := v.Verify(t.Context(), raw, &claims.Access{}); reason(err) != "expired" {
		t.Errorf("error %v", err)
	}
}

func TestJWKS(t *testing.T) {
	public, _ := newKey(t)
	got, err := token.ParseJWKS(token.EncodeJWKS(map[string]ed25519.PublicKey{"k1": public}))
	if err != nil || len(got) != 1 || !got["k1"].Equal(public) {
		t.Errorf("got %v, %v", got, err)
	}
	x := base64.RawURLEncoding.EncodeToString(public)
	for name, doc := range map[string]string{
		"no JSON": "x", "short": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}`,
		"no kid": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}]}`,
		"twice": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x +
			`"},{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"}]}`,
	} {
		if _, err := token.ParseJWKS([]byte(doc)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	other, err := token.ParseJWKS([]byte(`{"keys":[{"kty":"RSA","kid":"r"}]}`))
	if err != nil || len(other) != 0 {
		t.Errorf("keys of other kinds: %v, %v", other, err)
	}
}

func FuzzParseJWKS(f *testing.F) {
	public, _ := newKey(f)
	f.Add(token.EncodeJWKS(map[string]ed25519.PublicKey{"k1": public}))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := token.ParseJWKS(b)
		for kid, key := range keys {
			if err != nil || kid == "" || len(key) != ed25519.PublicKeySize {
				t.Errorf("got %q %v", kid, key)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	public, private := newKey(f)
	good := sign(f, private, access())
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, raw string) {
		if err := token.Verify(t.Context(), keys{"k1": public}, clock.NewFake(start), claims.AudienceAccess, raw,
			&claims.Access{}); err == nil && raw != good {
			t.Errorf("%q is accepted", raw)
		}
	})
}

func TestOurs(t *testing.T) {
	for reason, want := range map[string]bool{
		"missing": false, "malformed": false, "key": false, "signature": false, "unknown": false,
		"expired": true, "revoked": true, "audience": true, "device_not_activated": true,
	} {
		if got := token.Ours(fmt.Errorf("verify: %w", token.Refused(reason))); got != want {
			t.Errorf("%s: %v", reason, got)
		}
	}
	if token.Ours(token.ErrInvalid) || token.Ours(apierr.ErrUnavailable) || token.Ours(nil) {
		t.Error("what says nothing of a signature counts as one of ours")
	}
}

func BenchmarkVerifier(b *testing.B) {
	public, private := newKey(b)
	v := token.NewVerifier(keys{"k1": public}, clock.NewFake(start), claims.AudienceAccess)
	raw := sign(b, private, access())
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(b.Context(), raw, &claims.Access{}); err != nil {
			b.Fatal(err)
		}
	}
}
