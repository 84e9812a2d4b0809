//go:build unix

package e2e

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

// TestTokenAttacks: every forged, borrowed or ended token is refused, by every endpoint that takes one, at every
// process.
func TestTokenAttacks(t *testing.T) {
	each(t, func(w *harness) {
		f := newForge(w)
		for _, door := range f.doors() {
			w.Run(door.name, func(t *testing.T) {
				if a, err := door.knock(door.genuine); err != nil || a.status >= 300 {
					t.Fatalf("the genuine token is refused: %d %s %v", a.status, a.raw, err)
				}
				for attack, token := range f.attacks(door) {
					a, err := door.knock(token)
					if err != nil || a.status != http.StatusUnauthorized || a.code() != "INVALID_TOKEN" {
						t.Errorf("%s: %d %s %v", attack, a.status, a.raw, err)
					}
				}
				// What the forge signs with auth's own key is good: the attacks fail for the reason that they name.
				if a, err := door.knock(f.sign(f.private,
					merged(door.claims, map[string]any{"more": 1}))); err != nil || a.status >= 300 {
					t.Errorf("a token signed by auth's key: %d %s %v", a.status, a.raw, err)
				}
			})
		}
	})
}

// TestOfflineTokenNeedsThePublicKeyOnly checks an offline token as a client without any Latchkey code does.
func TestOfflineTokenNeedsThePublicKeyOnly(t *testing.T) {
	each(t, func(w *harness) {
		f := newForge(w)
		parsed, err := jwt.Parse(f.offline, func(token *jwt.Token) (any, error) {
			return f.public[token.Header["kid"].(string)], nil
		},
			jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience("latchkey-offline"), jwt.WithExpirationRequired())
		if err != nil {
			t.Fatal(err)
		}
		claims := parsed.Claims.(jwt.MapClaims)
		if claims["sub"] != f.licenseID || claims["hardware_id"] != "pc" ||
			fmt.Sprint(claims["features"]) != "[export]" || claims["jti"] == nil || claims["iat"] == nil {
			w.Errorf("claims: %v", claims)
		}
		if _, err := jwt.Parse(f.offline[:len(f.offline)-4]+"AAAA", func(token *jwt.Token) (any, error) {
			return f.public[token.Header["kid"].(string)], nil
		}); err == nil {
			w.Error("an altered token passes")
		}
	})
}

// forge makes tokens: with auth's own private key, as who stole it could not tell apart, and with others.
type forge struct {
	*harness
	licenseID, access, refresh, offline string
	kid                                 string
	public                              map[string]ed25519.PublicKey
	private, strange                    ed25519.PrivateKey
}

func newForge(w *harness) *forge {
	w.Helper()
	f := &forge{harness: w, public: map[string]ed25519.PublicKey{}}
	id, key := w.create(`{"customer_id":"tokens","max_devices":2,"features":["export"]}`)
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
	pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":"pc"}`, id), "X-API-Key", w.APIKey), http.StatusOK, "")
	f.licenseID, f.access, f.refresh = id, pair.text("access_token"), pair.text("refresh_token")
	f.offline = w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/offline-token", "{}", "Authorization",
		"Bearer "+f.access), http.StatusCreated, "").text("token")
	f.readKeys()
	return f
}

// environment is what the suite tells other programs, without the prefix of the names.
func (w *harness) environment() map[string]string {
	all := map[string]string{}
	for _, entry := range w.Environ() {
		name, value, _ := strings.Cut(strings.TrimPrefix(entry, "LATCHKEY_SUITE_"), "=")
		all[name] = value
	}
	return all
}

// readKeys reads the public keys as anybody can, and the private one from auth's database as only auth can.
func (f *forge) readKeys() {
	f.Helper()
	set := f.want(f.call(http.MethodGet, f.AuthURL+"/.well-known/jwks.json", ""), http.StatusOK, "")
	for _, k := range set.body["keys"].([]any) {
		jwk := k.(map[string]any)
		x, err := base64.RawURLEncoding.DecodeString(jwk["x"].(string))
		if err != nil || jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" || jwk["d"] != nil ||
			len(x) != ed25519.PublicKeySize {
			f.Fatalf("key %v: %v", jwk, err)
		}
		f.public[jwk["kid"].(string)] = x
	}
	var header struct{ Kid string }
	f.decode(f.access, 0, &header)
	f.kid = header.Kid
	_, f.strange, _ = ed25519.GenerateKey(nil) // never fails
	f.private = f.signingKey()
	if !f.public[f.kid].Equal(f.private.Public()) {
		f.Fatal("the key of the database is not the published one")
	}
}

// signingKey opens auth's signing key with the master key.
func (f *forge) signingKey() ed25519.PrivateKey {
	f.Helper()
	var secrets struct {
		MasterKey string `json:"master_key"`
	}
	config := db.Config{URL: "sqlite:" + filepath.Join(f.Dir, "latchkey-data", "auth.db"), Schema: "auth"}
	if f.embedded {
		raw, err := os.ReadFile(filepath.Join(f.Dir, "latchkey-data", "secrets.json"))
		if err = errors.Join(err, json.Unmarshal(raw, &secrets)); err != nil {
			f.Fatal(err)
		}
	} else {
		config.URL, secrets.MasterKey = f.Postgres.URL, f.environment()["MASTER_KEY"]
	}
	master, err := keyring.ParseKey(secrets.MasterKey)
	if err != nil {
		f.Fatal(err)
	}
	ring, err := keyring.New("auth", master)
	if err != nil {
		f.Fatal(err)
	}
	d, err := db.Open(f.Context(), config)
	if err != nil {
		f.Fatal(err)
	}
	defer d.Close()
	var sealed []byte
	if err := d.Read(f.Context()).Raw("SELECT sealed_private FROM signing_keys WHERE id = ?", f.kid).Row().
		Scan(&sealed); err != nil {
		f.Fatal(err)
	}
	seed, err := ring.Open("signing-key", sealed, []byte(f.kid))
	if err != nil {
		f.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// door is an endpoint that takes a token.
type door struct {
	name    string
	genuine string
	// foreign are good tokens that are not for this door.
	foreign []string
	claims  jwt.MapClaims
	knock   func(token string) (answer, error)
}

func (f *forge) doors() (doors []door) {
	var access, offline jwt.MapClaims
	f.decode(f.access, 1, &access)
	f.decode(f.offline, 1, &offline)
	bearer := func(service, path string) {
		for i, url := range f.URLs(service) {
			doors = append(doors, door{fmt.Sprintf("%s-%d", filepath.Base(path), i+1), f.access,
				[]string{f.offline, f.refresh}, access, func(token string) (answer, error) {
					return try(http.MethodPost, url+path, "{}", "Authorization", "Bearer "+token)
				}})
		}
	}
	bearer("auth", "/api/v1/auth/verify")
	bearer("license", "/api/v1/license/heartbeat")
	bearer("license", "/api/v1/license/offline-token")
	for i, url := range f.URLs("license") {
		doors = append(doors, door{fmt.Sprintf("validate-offline-%d", i+1), f.offline, []string{f.access, f.refresh},
			offline, func(token string) (answer, error) {
				return try(http.MethodPost, url+"/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, token))
			}})
	}
	return doors
}

// attacks are tokens that a door must refuse, by what is wrong with them.
func (f *forge) attacks(d door) map[string]string {
	all := map[string]string{"no token at all": "x", "two dots": "..", "four parts": d.genuine + ".x"}
	for i, token := range d.foreign {
		all[fmt.Sprintf("token of another kind %d", i)] = token
	}
	for what, change := range map[string]jwt.MapClaims{
		"no expiry": {"exp": nil}, "expired": {"exp": time.Now().Add(-time.Second).Unix()},
		"expiry is text": {"exp": "tomorrow"}, "expiry is zero": {"exp": 0},
		"expiry is negative": {"exp": -1}, "wrong audience": {"aud": "somebody"}, "no audience": {"aud": nil},
		"audience of refresh": {"aud": "latchkey-refresh"},
		"wrong issuer":        {"iss": "somebody"}, "no issuer": {"iss": nil}, "no issue time": {"iat": nil},
		"issued tomorrow": {"iat": time.Now().Add(24 * time.Hour).Unix()},
		"not yet valid":   {"nbf": time.Now().Add(time.Hour).Unix()}, "no subject": {"sub": nil},
		"device is a number": {"hardware_id": 7},
	} {
		all["signed by auth, "+what] = f.sign(f.private, merged(d.claims, change))
	}
	other := "latchkey-offline"
	if d.genuine == f.offline {
		other = "latchkey"
	}
	all["audience of the other kind"] = f.sign(f.private, merged(d.claims, jwt.MapClaims{"aud": other}))
	all["another key, same kid"] = f.sign(f.strange, d.claims)
	for what, header := range map[string]map[string]any{
		"no kid": {"kid": nil}, "unknown kid": {"kid": "unknown"}, "kid is a path": {"kid": "../../etc/passwd"},
		"kid is a number": {"kid": 1}, "crit": {"crit": []string{"exp"}}, "alg none but signed": {"alg": "none"},
		"alg of another curve": {"alg": "ES256"}, "alg in small letters": {"alg": "eddsa"},
	} {
		all[what] = f.raw(merged(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": f.kid}, header), d.claims,
			func(text []byte) []byte { return ed25519.Sign(f.private, text) })
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		all["alg "+alg] = f.raw(map[string]any{"alg": alg, "typ": "JWT", "kid": f.kid}, d.claims, func([]byte) []byte {
			return nil
		})
	}
	public := f.public[f.kid]
	for what, key := range map[string][]byte{
		"bytes":   public,
		"base64":  []byte(base64.RawURLEncoding.EncodeToString(public)),
		"nothing": {},
	} {
		all["HS256 with the public key, "+what] = f.raw(map[string]any{"alg": "HS256", "typ": "JWT", "kid": f.kid},
			d.claims, func(text []byte) []byte {
				mac := hmac.New(sha256.New, key)
				mac.Write(text)
				return mac.Sum(nil)
			})
	}
	all["embedded key"] = f.raw(map[string]any{"alg": "EdDSA", "kid": f.kid, "jwk": map[string]any{
		"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(
			f.strange.Public().(ed25519.PublicKey)),
	}}, d.claims, func(text []byte) []byte { return ed25519.Sign(f.strange, text) })
	f.alter(all, d.genuine)
	return all
}

// alter adds the genuine token with every other last character, and with changes elsewhere.
func (f *forge) alter(all map[string]string, token string) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	for _, c := range alphabet {
		if byte(c) != token[last] {
			all["last character "+string(c)] = token[:last] + string(c)
		}
	}
	parts := strings.Split(token, ".")
	all["without signature"] = parts[0] + "." + parts[1] + "."
	all["padded"] = token + "="
	all["with a blank in it"] = token[:last] + " " + token[last:]
	all["signature of nothing"] = parts[0] + "." + parts[1] + "." +
		base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	all["payload of another"] = parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." +
		parts[2]
}

// sign makes a token as auth does.
func (f *forge) sign(key ed25519.PrivateKey, claims jwt.MapClaims) string {
	return f.raw(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": f.kid}, claims, func(text []byte) []byte {
		return ed25519.Sign(key, text)
	})
}

func (f *forge) raw(header, claims map[string]any, sign func(text []byte) []byte) string {
	f.Helper()
	h, err := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	if err = errors.Join(err, err2); err != nil {
		f.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

// decode reads one part of a token.
func (f *forge) decode(token string, part int, into any) {
	f.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err == nil {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber() // times as they are written
		err = d.Decode(into)
	}
	if err != nil {
		f.Fatal(err)
	}
}

// merged is a with what b changes; nil takes a member out.
func merged(a, b map[string]any) map[string]any {
	m := maps.Clone(a)
	for name, value := range b {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return m
}
