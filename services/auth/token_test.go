package auth_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

func TestTokenJourney(t *testing.T) {
	eachEngine(t, func(w *harness) {
		first := w.issue(w.client())
		if first.Type != "Bearer" || first.ExpiresIn != 3600 {
			w.Errorf("got %+v", first)
		}
		var v struct {
			Valid      bool      `json:"valid"`
			LicenseID  string    `json:"license_id"`
			HardwareID string    `json:"hardware_id"`
			IssuedAt   time.Time `json:"issued_at"`
			ExpiresAt  time.Time `json:"expires_at"`
		}
		w.verify(first.Access).is(200, "").into(&v)
		now := w.clock.Now()
		if !v.Valid || v.LicenseID != licenseID || v.HardwareID != device || !v.IssuedAt.Equal(now) ||
			!v.ExpiresAt.Equal(now.Add(time.Hour)) {
			w.Errorf("verified %+v at %s", v, now)
		}
		var second pair
		w.refresh(first.Refresh).is(200, "").into(&second)
		if second.Refresh == first.Refresh || second.Access == first.Access {
			w.Error("the pair is not new")
		}
		w.verify(second.Access).is(200, "")
		w.clock.Advance(time.Hour)
		if reason := w.verify(second.Access).is(401, errcode.InvalidToken).reason(); reason != "expired" {
			w.Errorf("reason %q", reason)
		}
		w.clock.Advance(30*24*time.Hour - time.Hour)
		if reason := w.refresh(second.Refresh).is(401, errcode.InvalidToken).reason(); reason != "expired" {
			w.Errorf("reason %q", reason)
		}
	})
}

func TestLicenseRefuses(t *testing.T) {
	w := onSQLite(t)
	client := w.client()
	p := w.issue(client)
	tests := []struct {
		err     error
		issue   int
		code    string
		later   int
		laterIs string
	}{
		{apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no such license"), 404, errcode.LicenseNotFound, 401,
			errcode.InvalidToken},
		{apierr.New(apierr.Forbidden, errcode.LicenseInactive, "inactive"), 403, errcode.LicenseInactive, 401,
			errcode.InvalidToken},
		{apierr.New(apierr.Forbidden, errcode.LicenseExpired, "expired"), 403, errcode.LicenseExpired, 401,
			errcode.InvalidToken},
		{apierr.New(apierr.Forbidden, errcode.DeviceNotActivated, "not activated"), 403, errcode.DeviceNotActivated,
			401, errcode.InvalidToken},
		{apierr.ErrUnavailable, 503, errcode.ServiceUnavailable, 503, errcode.ServiceUnavailable},
		{errors.New("broken"), 500, errcode.InternalError, 500, errcode.InternalError},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			w := w.in(t)
			w.license.set(func(string, string) error { return tt.err })
			w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(tt.issue, tt.code)
			w.verify(p.Access).is(tt.later, tt.laterIs)
			w.refresh(p.Refresh).is(tt.later, tt.laterIs)
		})
	}
	w.license.set(nil)
	w.refresh(p.Refresh).is(200, "") // no refusal used it up
	var refused eventsv1.LicenseTokenRefused
	w.awaitEvent(1, &refused)
	if refused.ErrorCode != errcode.InvalidToken || refused.LicenseId != licenseID || refused.HardwareId != device ||
		refused.Ip == "" || refused.Count != 1 {
		w.Errorf("event %+v", &refused)
	}
}

// TestLicenseIsToldWhoCalls: where a device asks for tokens, its license is told all that a validation would tell it.
func TestLicenseIsToldWhoCalls(t *testing.T) {
	w := onSQLite(t)
	var p pair
	w.call("POST", "/api/v1/auth/token", w.client(),
		fmt.Sprintf(`{"license_id":%q,"hardware_id":%q,"app_version":"1.4","is_vm":true,"user_token":"usr_a"}`,
			licenseID, device)).
		is(200, "").into(&p)
	told := func(want *licensev1.CheckDeviceRequest) {
		t.Helper()
		want.LicenseId, want.HardwareId = licenseID, device
		if got := w.license.lastAsked(); !proto.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	const address = "192.0.2.1" // of requests that httptest makes
	told(&licensev1.CheckDeviceRequest{Address: address, AppVersion: "1.4", IsVm: true, UserToken: new("usr_a")})
	version := proto.Int32(w.license.version)
	w.refresh(p.Refresh).is(200, "").into(&p)
	told(&licensev1.CheckDeviceRequest{Address: address, LicenseVersion: version})
	w.verify(p.Access).is(200, "") // which a back end asks for its devices
	told(&licensev1.CheckDeviceRequest{LicenseVersion: version})
	w.call("POST", "/api/v1/auth/token", w.client(),
		fmt.Sprintf(`{"license_id":%q,"hardware_id":%q,"app_version":%q}`,
			licenseID, device, strings.Repeat("1", 256))).
		is(400, errcode.ValidationError)
}

// TestEventsMarkAProxy: the address of a proxy that nobody named is marked, not left out: anyone who copied a token
// would hide behind a header.
func TestEventsMarkAProxy(t *testing.T) {
	w := onSQLite(t)
	first := w.issue(w.client())
	var second pair
	w.refresh(first.Refresh).is(200, "").into(&second)
	w.refresh(second.Refresh).is(200, "")
	req := httptest.NewRequest("POST", "/api/v1/auth/refresh",
		strings.NewReader(fmt.Sprintf(`{"refresh_token": %q}`, first.Refresh)))
	req.RemoteAddr = "10.0.0.1:1"
	req.Header.Set("X-Forwarded-For", "203.0.113.5")
	w.handler.ServeHTTP(httptest.NewRecorder(), req)
	var reused eventsv1.LicenseTokenReused
	if w.awaitEvent(1, &reused); reused.Ip != "10.0.0.1" || !reused.ViaProxy {
		w.Errorf("%+v", &reused)
	}
	var refused eventsv1.LicenseTokenRefused
	if w.awaitEvent(1, &refused); refused.Ip != "10.0.0.1" || !refused.ViaProxy {
		w.Errorf("%+v", &refused)
	}
}

// TestOnlyOurTokensMakeEvents: what somebody made up only counts in the metric, and of one family at most 10 events a
// minute are published; the next one says how many were not.
func TestOnlyOurTokensMakeEvents(t *testing.T) {
	w := onSQLite(t)
	p := w.issue(w.client())
	w.clock.Advance(2 * time.Hour) // the access token has ended; its signature is as good as ever
	for _, foreign := range []string{"x.y.z", "", strings.Repeat("a", 300), p.Access[:len(p.Access)-4] + "AAAA"} {
		for range 20 {
			w.verify(foreign).is(401, errcode.InvalidToken)
			w.refresh("rt_" + foreign)
		}
	}
	for range 30 {
		w.verify(p.Access).is(401, errcode.InvalidToken)
	}
	w.clock.Advance(time.Minute)
	w.verify(p.Access).is(401, errcode.InvalidToken)
	var last eventsv1.LicenseTokenRefused
	w.awaitEvent(11, &last)
	if last.Count != 21 || last.LicenseId != licenseID || last.HardwareId != device {
		w.Errorf("the last event is %+v", &last)
	}
	rec := httptest.NewRecorder()
	w.service.InternalHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, count := range []string{`reason="expired".* 31`, `reason="malformed".* \d+`, `reason="signature".* 20`} {
		if !regexp.MustCompile("latchkey_auth_refused_tokens_total{.*" + count + "\n").MatchString(rec.Body.String()) {
			w.Errorf("the metrics lack %s", count)
		}
	}
}

func TestLicenseIDsThatAreNone(t *testing.T) {
	w := onSQLite(t)
	client := w.client()
	w.license.set(func(string, string) error { return errors.New("license was asked") })
	for _, id := range []string{"no-uuid", "urn:uuid:" + licenseID, "{" + licenseID + "}",
		strings.ReplaceAll(licenseID, "-", "")} {
		w.call("POST", "/api/v1/auth/token", client, tokenBody(id, device)).is(404, errcode.LicenseNotFound)
	}
}

func TestTokenAttacks(t *testing.T) {
	w := onSQLite(t)
	good := w.issue(w.client())
	keys, err := w.store.SigningKeys(w.Context())
	w.must(err)
	key, now := keys[0], w.clock.Now()
	_, stranger, err := ed25519.GenerateKey(nil)
	w.must(err)
	offline, err := w.auth.SignOfflineToken(w.Context(), connect.NewRequest(&authv1.SignOfflineTokenRequest{
		LicenseId: licenseID, HardwareId: device, TokenId: "t1", IssuedAt: timestamppb.New(now),
		ExpiresAt: timestamppb.New(now.Add(time.Hour)),
	}))
	w.must(err)

	var standing claims.Access
	_, _, err = jwt.NewParser().ParseUnverified(good.Access, &standing)
	w.must(err)
	with := func(change func(c jwt.MapClaims)) string {
		raw, err := json.Marshal(standing)
		w.must(err)
		c := jwt.MapClaims{}
		w.must(json.Unmarshal(raw, &c))
		change(c)
		signed, err := token.Sign(key.Private, key.ID, c)
		w.must(err)
		return signed
	}
	signed := func(method jwt.SigningMethod, kid string, secret any) string {
		t := jwt.NewWithClaims(method, standing)
		t.Header["kid"] = kid
		s, err := t.SignedString(secret)
		w.must(err)
		return s
	}
	header := func(h string) string {
		parts := strings.Split(good.Access, ".")
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + parts[1]
		return unsigned + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key.Private, []byte(unsigned)))
	}
	w.verify(with(func(jwt.MapClaims) {})).is(200, "") // the forge itself works
	parts := strings.Split(good.Access, ".")
	last := good.Access[len(good.Access)-1]
	public := key.Private.Public().(ed25519.PublicKey)

	for name, raw := range map[string]string{
		"empty":                      "",
		"alg none":                   signed(jwt.SigningMethodNone, key.ID, jwt.UnsafeAllowNoneSignatureType),
		"alg None":                   header(fmt.Sprintf(`{"alg":"None","kid":%q}`, key.ID)),
		"alg missing":                header(fmt.Sprintf(`{"kid":%q}`, key.ID)),
		"HS256 with the public key":  signed(jwt.SigningMethodHS256, key.ID, []byte(public)),
		"HS256 with an empty secret": signed(jwt.SigningMethodHS256, key.ID, []byte{}),
		"other key":                  signed(jwt.SigningMethodEdDSA, key.ID, stranger),
		"other key, unknown kid":     signed(jwt.SigningMethodEdDSA, "unknown", stranger),
		"kid is a path":              signed(jwt.SigningMethodEdDSA, "../../dev/null", stranger),
		"kid missing":                header(`{"alg":"EdDSA"}`),
		"kid is a number":            header(`{"alg":"EdDSA","kid":1}`),
		"crit":                       header(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"crit":["exp"]}`, key.ID)),
		"no exp":                     with(func(c jwt.MapClaims) { delete(c, "exp") }),
		"exp is text":                with(func(c jwt.MapClaims) { c["exp"] = "never" }),
		"expired":                    with(func(c jwt.MapClaims) { c["exp"] = now.Unix() }),
		"exp negative":               with(func(c jwt.MapClaims) { c["exp"] = -1 }),
		"no iat":                     with(func(c jwt.MapClaims) { delete(c, "iat") }),
		"iat in the future":          with(func(c jwt.MapClaims) { c["iat"] = now.Add(time.Minute).Unix() }),
		"nbf in the future":          with(func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Minute).Unix() }),
		"no audience":                with(func(c jwt.MapClaims) { delete(c, "aud") }),
		"wrong audience":             with(func(c jwt.MapClaims) { c["aud"] = "somebody" }),
		"wrong issuer":               with(func(c jwt.MapClaims) { c["iss"] = "somebody" }),
		"no subject":                 with(func(c jwt.MapClaims) { delete(c, "sub") }),
		"no family":                  with(func(c jwt.MapClaims) { delete(c, "fid") }),
		"unknown family":             with(func(c jwt.MapClaims) { c["fid"] = licenseID }),
		"offline as access":          offline.Msg.Token,
		"refresh as access":          good.Refresh,
		"last character altered":     good.Access[:len(good.Access)-1] + string(last^1),
		"padding added":              good.Access + "=",
		"signature stripped":         parts[0] + "." + parts[1] + ".",
		"signature of another":       parts[0] + "." + parts[1] + "." + strings.Split(offline.Msg.Token, ".")[2],
		"two segments":               parts[0] + "." + parts[1],
		"extra segment":              good.Access + ".e30",
		"payload of another":         parts[0] + "." + strings.Split(offline.Msg.Token, ".")[1] + "." + parts[2],
		"5 MiB of dots":              strings.Repeat(".", 5<<20),
		"beyond 8 KiB":               good.Access + strings.Repeat("A", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.verify(raw).is(401, errcode.InvalidToken)
		})
	}
	t.Run("access as refresh", func(t *testing.T) {
		w.refresh(good.Access).is(401, errcode.InvalidToken)
		w.refresh(good.Refresh[:len(good.Refresh)-1]+"_").is(401, errcode.InvalidToken)
	})
	w.verify(good.Access).is(200, "")
}

func TestOfflineTokenStandsOnThePublicKeyAlone(t *testing.T) {
	w := onSQLite(t)
	now := w.clock.Now()
	end := now.Add(time.Hour).Truncate(time.Second)
	res, err := w.auth.SignOfflineToken(w.Context(), connect.NewRequest(&authv1.SignOfflineTokenRequest{
		LicenseId: licenseID, HardwareId: device, TokenId: "t1", IssuedAt: timestamppb.New(now),
		ExpiresAt:     timestamppb.New(now.Add(24 * time.Hour)),
		FeaturesUntil: map[string]*timestamppb.Timestamp{"export": timestamppb.New(end)},
	}))
	w.must(err)
	keys := token.NewRemoteKeys(func(context.Context) ([]byte, error) {
		return []byte(w.call("GET", "/.well-known/jwks.json", nil, "").is(200, "").body), nil
	}, w.clock, nil)
	var c claims.Offline
	w.must(token.Verify(w.Context(), keys, w.clock, claims.AudienceOffline, res.Msg.Token, &c))
	if c.Subject != licenseID || c.HardwareID != device || c.ID != "t1" || c.Features == nil ||
		!c.FeaturesUntil["export"].Equal(end) {
		w.Errorf("claims %+v", c)
	}
}

// TestOfflineTokensOnSlowClocks checks an offline token as clients do that know nothing of Latchkey, on clocks that are
// behind.
func TestOfflineTokensOnSlowClocks(t *testing.T) {
	w := onSQLite(t)
	now := w.clock.Now()
	res, err := w.auth.SignOfflineToken(w.Context(), connect.NewRequest(&authv1.SignOfflineTokenRequest{
		LicenseId: licenseID, HardwareId: device, TokenId: "t1", IssuedAt: timestamppb.New(now),
		ExpiresAt: timestamppb.New(now.Add(24 * time.Hour)),
	}))
	w.must(err)
	keys, err := w.store.SigningKeys(w.Context())
	w.must(err)
	for behind, want := range map[time.Duration]bool{
		0:                           true,
		time.Second:                 true,
		5 * time.Minute:             true,
		5*time.Minute + time.Second: false,
	} {
		_, err := jwt.Parse(res.Msg.Token, func(*jwt.Token) (any, error) { return keys[0].Private.Public(), nil },
			jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return now.Add(-behind) }))
		if (err == nil) != want {
			w.Errorf("%s behind: %v", behind, err)
		}
	}
}

func segment(t *testing.T, raw string, n int) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
