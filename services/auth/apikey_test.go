package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/auth"
)

const (
	keyPath  = "/api/v1/auth/api-key"
	keysPath = "/api/v1/auth/api-keys"
)

func TestCreateAPIKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "Desktop app"}`)
		if diff := cmp.Diff([]string{"/api/v1/license/*", "/api/v1/auth/token"}, k.AllowedEndpoints); diff != "" {
			w.Error(diff)
		}
		if k.RateLimit.PerMinute != 60 || k.RateLimit.PerHour != 1000 || k.RateLimit.Per != "address" ||
			k.ExpiresAt != nil {
			w.Errorf("defaults %+v", k)
		}
		own := w.createKey(`{"client_name": "ß 漢", "allowed_endpoints": ["*"], "rate_limit": {"per_minute": 0, ` +
			`"per": "address"}, "expires_at": "2099-12-31"}`)
		if own.RateLimit.PerMinute != 0 || own.RateLimit.PerHour != 1000 || own.RateLimit.Per != "address" ||
			own.ExpiresAt == nil || !own.ExpiresAt.Equal(time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)) {
			w.Errorf("own settings %+v", own)
		}
		list := w.call("GET", keysPath, asAdmin, "").is(200, "")
		var got struct {
			Keys []apiKey `json:"api_keys"`
		}
		list.into(&got)
		if len(got.Keys) != 2 || got.Keys[0].ID != own.ID || got.Keys[1].ID != k.ID {
			w.Errorf("list %s", list.body)
		}
		if strings.Contains(list.body, "sk_") {
			w.Errorf("the list shows a secret: %s", list.body)
		}
		var created eventsv1.ApiKeyCreated
		w.awaitEvent(1, &created)
		if created.ApiKeyId != k.ID || created.ClientName != k.ClientName {
			w.Errorf("event %+v", &created)
		}
		var audited eventsv1.AuditRecorded
		e := w.awaitEvent(1, &audited)
		if audited.Action != "api_key.create" || audited.Actor.Role != "owner" || audited.Actor.RequestId == "" ||
			strings.Contains(string(e.Data), k.APIKey) {
			w.Errorf("audit entry %s", e.Data)
		}
	})
}

func TestOnlyHashesAreKept(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app"}`)
		p := w.issue(headers{"X-API-Key": k.APIKey})
		for _, table := range []string{"api_keys", "api_key_secrets", "token_families", "refresh_tokens", "outbox",
			"idempotency_keys"} {
			var rows []map[string]any
			w.must(w.db.Read(w.Context()).Table(table).Find(&rows).Error)
			dump := fmt.Sprintf("%s", rows)
			for _, canary := range []string{k.APIKey, p.Access, p.Refresh, adminSecret} {
				if strings.Contains(dump, canary) {
					w.Errorf("%s holds a secret in clear", table)
				}
			}
		}
	})
}

func TestRevokeAPIKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app"}`)
		client := headers{"X-API-Key": k.APIKey}
		w.issue(client) // the guard knows the key now
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(200, "")
		testkit.Eventually(w, patience, func() error {
			if got := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)); got.status != 401 {
				return fmt.Errorf("the revoked key is answered %d", got.status)
			}
			return nil
		})
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(404, errcode.NotFound)
		w.call("POST", keysPath+"/"+k.ID+"/rotate", asAdmin, "").is(404, errcode.NotFound)
		var revoked eventsv1.ApiKeyRevoked
		w.awaitEvent(1, &revoked)
		if revoked.ApiKeyId != k.ID {
			w.Errorf("event %+v", &revoked)
		}
	})
}

func TestRotateAPIKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app"}`)
		var next apiKey
		w.call("POST", keysPath+"/"+k.ID+"/rotate", asAdmin, `{"grace_seconds": 60}`).is(200, "").into(&next)
		if next.ID != k.ID || next.APIKey == k.APIKey {
			w.Errorf("rotated %+v", next)
		}
		for _, s := range []string{k.APIKey, next.APIKey} {
			w.issue(headers{"X-API-Key": s})
		}
		w.clock.Advance(time.Minute) // also in the guard's memory, the old secret ends
		w.call("POST", "/api/v1/auth/token", headers{"X-API-Key": k.APIKey}, tokenBody(licenseID, device)).
			is(401, errcode.InvalidAPIKey)
		w.issue(headers{"X-API-Key": next.APIKey})

		var last apiKey
		w.call("POST", keysPath+"/"+k.ID+"/rotate", asAdmin, "").is(200, "").into(&last)
		var rotated eventsv1.ApiKeyRotated
		w.awaitEvent(2, &rotated)
		testkit.Eventually(w, patience, func() error {
			if got := w.call("POST", "/api/v1/auth/token", headers{"X-API-Key": next.APIKey},
				tokenBody(licenseID, device)); got.status != 401 {
				return fmt.Errorf("the secret without grace is answered %d", got.status)
			}
			return nil
		})
		w.issue(headers{"X-API-Key": last.APIKey})
	})
}

func TestAPIKeyExpires(t *testing.T) {
	w := onSQLite(t)
	k := w.createKey(fmt.Sprintf(`{"client_name": "app", "expires_at": %q}`,
		w.clock.Now().Add(10*time.Second).Format(time.RFC3339)))
	w.issue(headers{"X-API-Key": k.APIKey})
	w.clock.Advance(10 * time.Second)
	w.call("POST", "/api/v1/auth/token", headers{"X-API-Key": k.APIKey}, tokenBody(licenseID, device)).
		is(401, errcode.InvalidAPIKey)
	res, err := w.auth.LookUpAPIKey(w.Context(),
		connect.NewRequest(&authv1.LookUpAPIKeyRequest{Sha256: hash(k.APIKey)}))
	w.must(err)
	if !res.Msg.Ended {
		t.Error("peer services are told that the key holds")
	}
}

func TestLookUpAPIKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app", "rate_limit": {"per_minute": 5, "per": "address"}, ` +
			`"expires_at": "2099-12-31"}`)
		res, err := w.auth.LookUpAPIKey(w.Context(),
			connect.NewRequest(&authv1.LookUpAPIKeyRequest{Sha256: hash(k.APIKey)}))
		w.must(err)
		got := res.Msg
		if got.ApiKeyId != k.ID || got.ClientName != "app" || got.RateLimit.PerMinute != 5 ||
			got.RateLimit.PerHour != 1000 ||
			got.RateLimit.Per != "address" || !got.ExpiresAt.AsTime().Equal(*k.ExpiresAt) ||
			!slices.Equal(got.AllowedEndpoints, k.AllowedEndpoints) {
			w.Errorf("got %v", got)
		}
		for _, bad := range [][]byte{hash("sk_other"), nil, {1}, make([]byte, 33)} {
			if _, err := w.auth.LookUpAPIKey(w.Context(),
				connect.NewRequest(&authv1.LookUpAPIKeyRequest{Sha256: bad})); err == nil {
				w.Errorf("a hash of %d bytes is known", len(bad))
			}
		}
	})
}

func hash(s string) []byte {
	sum := secret.Hash(s)
	return sum[:]
}

func TestIdempotencyKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		h := headers{"X-Admin-Secret": adminSecret, "Idempotency-Key": "once"}
		first := w.call("POST", keyPath, h, `{"client_name": "app"}`).is(201, "")
		again := w.call("POST", keyPath, h, `{"client_name": "app"}`).is(201, "")
		if first.body != again.body {
			w.Errorf("first %s\nagain %s", first.body, again.body)
		}
		w.call("POST", keyPath, h, `{"client_name": "other"}`).is(422, errcode.IdempotencyKeyReused)
		var k apiKey
		first.into(&k)
		h["Idempotency-Key"] = "rotate"
		rotated := w.call("POST", keysPath+"/"+k.ID+"/rotate", h, "").is(200, "")
		if again := w.call("POST", keysPath+"/"+k.ID+"/rotate", h, "").is(200, ""); rotated.body != again.body {
			w.Errorf("rotated %s\nagain %s", rotated.body, again.body)
		}
		var list struct {
			Keys []apiKey `json:"api_keys"`
		}
		w.call("GET", keysPath, asAdmin, "").into(&list)
		if len(list.Keys) != 1 {
			w.Errorf("%d keys were made, want 1", len(list.Keys))
		}
		h["Idempotency-Key"] = strings.Repeat("x", 256)
		w.call("POST", keyPath, h, `{"client_name": "app"}`).is(400, errcode.ValidationError)
	})
}

func TestRateLimit(t *testing.T) {
	for _, shared := range []bool{false, true} {
		// In a bubble, because a limiter leaves alone a database that is late.
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { limits(t, shared) })
		})
	}
}

func limits(t *testing.T, shared bool) {
	w := onSQLite(t, func(c *auth.Config) { c.RateLimitShared = shared })
	client := headers{"X-API-Key": w.createKey(`{"client_name": "app"}`).APIKey}
	for i := range 60 {
		a := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(200, "")
		if got := a.header.Get("X-RateLimit-Remaining"); got != fmt.Sprint(59-i) {
			w.Fatalf("call %d: remaining %s", i+1, got)
		}
	}
	a := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(429, errcode.RateLimitExceeded)
	want := headers{"Retry-After": "60", "X-Ratelimit-Limit": "60", "X-Ratelimit-Remaining": "0",
		"X-Ratelimit-Reset": "60"}
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			w.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	w.clock.Advance(time.Minute)
	w.call("POST", "/api/v1/auth/token", client, `{}`).is(400, errcode.ValidationError)
}

func TestTwoReplicasShareALimit(t *testing.T) {
	testkit.EachEngineInBubble(t, auth.Migrations, func(t *testing.T, d *db.DB) {
		share := func(c *auth.Config) { c.RateLimitShared = true }
		a, b := newHarness(t, d, share), newHarness(t, d, share)
		client := headers{"X-API-Key": a.createKey(`{"client_name": "app"}`).APIKey}
		var mu sync.Mutex
		admitted := [2]int{}
		var wg sync.WaitGroup
		for i, w := range []*harness{a, b} {
			wg.Go(func() {
				for range 40 {
					if w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).status == 200 {
						mu.Lock()
						admitted[i]++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		if admitted[0]+admitted[1] != 60 {
			t.Errorf("two replicas admitted %v calls, want 60", admitted)
		}
	}) // newHarness leaves the dead letters' table out: nothing dies here
}

func TestEndpointNotAllowed(t *testing.T) {
	w := onSQLite(t)
	k := w.createKey(`{"client_name": "app", "allowed_endpoints": ["/api/v1/license"], ` +
		`"rate_limit": {"per_minute": 2}}`)
	client := headers{"X-API-Key": k.APIKey}
	for range 3 {
		a := w.call("POST", "/api/v1/auth/token", client, "no json").is(403, errcode.EndpointNotAllowed)
		if a.header.Get("X-RateLimit-Limit") != "2" {
			w.Errorf("no rate limit headers on 403: %v", a.header)
		}
	}
}

func TestCredentials(t *testing.T) {
	w := onSQLite(t)
	good := w.createKey(`{"client_name": "app"}`)
	admin := []struct{ method, path string }{
		{"POST", keyPath}, {"GET", keysPath}, {"DELETE", keysPath + "/" + good.ID},
		{"POST", keysPath + "/" + good.ID + "/rotate"},
	}
	for _, r := range admin {
		for name, h := range map[string]headers{
			"none": nil, "empty": {"X-Admin-Secret": ""}, "wrong": {"X-Admin-Secret": adminSecret + "x"},
			"api key":    {"X-Admin-Secret": good.APIKey},
			"as api key": {"X-API-Key": adminSecret}, "as bearer": {"Authorization": "Bearer " + adminSecret},
		} {
			t.Run(r.method+" "+r.path+" "+name, func(t *testing.T) {
				w.in(t).call(r.method, r.path, h, "{").is(401, errcode.InvalidAdminSecret)
			})
		}
	}
	for name, h := range map[string]headers{
		"none": nil, "empty": {"X-API-Key": ""}, "documentation": {"X-API-Key": "sk_your_api_key_here"},
		"unknown":      {"X-API-Key": secret.New("sk_")},
		"admin secret": {"X-API-Key": adminSecret}, "as bearer": {"Authorization": "Bearer " + good.APIKey},
	} {
		t.Run("token "+name, func(t *testing.T) {
			w.in(t).call("POST", "/api/v1/auth/token", h, "{").is(401, errcode.InvalidAPIKey)
		})
	}
	for name, h := range map[string]headers{
		"none":     nil,
		"basic":    {"Authorization": "Basic abc"},
		"no token": {"Authorization": "Bearer "},
	} {
		t.Run("verify "+name, func(t *testing.T) {
			w.in(t).call("POST", "/api/v1/auth/verify", h, "").is(401, errcode.InvalidToken)
		})
	}
	t.Run("two keys", func(t *testing.T) {
		for name, path := range map[string]string{"X-API-Key": "/api/v1/auth/token", "X-Admin-Secret": keyPath} {
			req := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
			value := map[string]string{"X-API-Key": good.APIKey, "X-Admin-Secret": adminSecret}[name]
			req.Header.Add(name, value)
			req.Header.Add(name, value)
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, req)
			if rec.Code != 401 {
				t.Errorf("two headers %s are answered %d", name, rec.Code)
			}
		}
	})
}

func TestBadInput(t *testing.T) {
	w := onSQLite(t)
	client := w.client()
	k := w.createKey(`{"client_name": "app"}`)
	routes := []struct {
		method, path string
		h            headers
	}{
		{"POST", "/api/v1/auth/token", client},
		{"POST", "/api/v1/auth/refresh", nil},
		{"POST", keyPath, asAdmin},
		{"POST", keysPath + "/" + k.ID + "/rotate", asAdmin},
	}
	bodies := map[string]string{
		"malformed": "{", "an array": "[]", "text": `"x"`, "null": "null", "trailing data": `{} {}`,
		"NUL":           "{\"client_name\": \"a\\u0000b\"}",
		"invalid UTF-8": "{\"x\": \"\xff\"}", "lone surrogate": `{"x": "\ud800"}`,
		"nesting": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	}
	for _, r := range routes {
		for name, body := range bodies {
			t.Run(r.path+" "+name, func(t *testing.T) {
				w.in(t).call(r.method, r.path, r.h, body).is(400, errcode.ValidationError)
			})
		}
		t.Run(r.path+" 2 MiB", func(t *testing.T) {
			w.in(t).call(r.method, r.path, r.h, `{"x":"`+strings.Repeat("a", 2<<20)+`"}`).
				is(413, errcode.PayloadTooLarge)
		})
		t.Run(r.path+" media type", func(t *testing.T) {
			h := headers{"Content-Type": "text/xml"}
			for name, value := range r.h {
				h[name] = value
			}
			w.in(t).call(r.method, r.path, h, `<x/>`).is(415, errcode.UnsupportedMediaType)
		})
		t.Run(r.path+" method", func(t *testing.T) {
			w.in(t).call("PUT", r.path, r.h, "").is(405, errcode.MethodNotAllowed)
		})
	}
	w.call("GET", "/api/v1/auth/nothing", nil, "").is(404, errcode.NotFound)
	var list struct {
		Keys []json.RawMessage `json:"api_keys"`
	}
	w.call("GET", keysPath, asAdmin, "").into(&list)
	if len(list.Keys) != 2 {
		t.Errorf("bad input left %d keys behind, want 2", len(list.Keys))
	}
}

func TestBadMembers(t *testing.T) {
	w := onSQLite(t)
	client := w.client()
	long := strings.Repeat("x", 256)
	k := w.createKey(`{"client_name": "app"}`)
	tests := []struct {
		path string
		h    headers
		body string
		want []string
	}{
		{"/api/v1/auth/token", client, `{}`, []string{"hardware_id", "license_id"}},
		{"/api/v1/auth/token", client, ``, []string{"body"}},
		{"/api/v1/auth/token", client, tokenBody(licenseID, long), []string{"hardware_id"}},
		{"/api/v1/auth/token", client, `{"license_id": 5, "hardware_id": null}`, []string{"license_id"}},
		{"/api/v1/auth/token", client, `{"license_id": null, "hardware_id": null}`,
			[]string{"hardware_id", "license_id"}},
		{"/api/v1/auth/refresh", nil, `{}`, []string{"refresh_token"}},
		{"/api/v1/auth/refresh", nil, `{"refresh_token": 5}`, []string{"refresh_token"}},
		{keyPath, asAdmin, `{}`, []string{"client_name"}},
		{keyPath, asAdmin, `{"client_name": " "}`, []string{"client_name"}},
		{keyPath, asAdmin, `{"client_name": "` + long + `"}`, []string{"client_name"}},
		{keyPath, asAdmin, `{"client_name": "a", "allowed_endpoints": ["api"]}`, []string{"allowed_endpoints[0]"}},
		{keyPath, asAdmin, `{"client_name": "a", "allowed_endpoints": "*"}`, []string{"allowed_endpoints"}},
		{keyPath, asAdmin, `{"client_name": "a", "rate_limit": {"per_minute": -1, "per_hour": 5, "per": "day"}}`,
			[]string{"rate_limit.per", "rate_limit.per_minute"}},
		{keyPath, asAdmin, `{"client_name": "a", "rate_limit": {"per": ""}}`, []string{"rate_limit.per"}},
		{keyPath, asAdmin, `{"client_name": null}`, []string{"client_name"}},
		{keyPath, asAdmin, `{"client_name": "a", "expires_at": "0001-01-01T00:00:00Z"}`, []string{"expires_at"}},
		{keyPath, asAdmin, `{"client_name": "a", "rate_limit": {"per_minute": 1.5}}`,
			[]string{"rate_limit.per_minute"}},
		{keyPath, asAdmin, `{"client_name": "a", "rate_limit": {"per_hour": 99999999999999999999}}`,
			[]string{"rate_limit.per_hour"}},
		{keyPath, asAdmin, `{"client_name": "a", "rate_limit": {"per_hour": 1000000001}}`,
			[]string{"rate_limit.per_hour"}},
		{keyPath, asAdmin, `{"client_name": "a", "expires_at": "2001-01-01"}`, []string{"expires_at"}},
		{keyPath, asAdmin, `{"client_name": "a", "expires_at": "tomorrow"}`, []string{"expires_at"}},
		{keysPath + "/" + k.ID + "/rotate", asAdmin, `{"grace_seconds": -1}`, []string{"grace_seconds"}},
		{keysPath + "/" + k.ID + "/rotate", asAdmin, `{"rate_limit": {"per_minute": 600}}`, []string{"rate_limit"}},
		{keysPath + "/" + k.ID + "/rotate", asAdmin, `{"grace_seconds": 9000000000000}`, []string{"grace_seconds"}},
	}
	for _, patch := range []struct{ body, want string }{
		{`{"client_name": " "}`, "client_name"}, {`{"client_name": null}`, "client_name"},
		{`{"allowed_endpoints": ["api"]}`, "allowed_endpoints[0]"},
		{`{"rate_limit": {"per": "day"}}`, "rate_limit.per"},
		{`{"rate_limit": {"per_minutes": 5}}`, "rate_limit.per_minutes"},
		{`{"expires_at": "2001-01-01"}`, "expires_at"}, {`{"api_key": "sk_x"}`, "api_key"},
		{`{"rate_limit": null}`, "rate_limit"},
	} {
		if a := w.call("PATCH", keysPath+"/"+k.ID, asAdmin, patch.body).
			is(400, errcode.ValidationError); !strings.Contains(a.body, strconv.Quote(patch.want)+":") {
			t.Errorf("PATCH %s: %s", patch.body, a.body)
		}
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.body[:min(len(tt.body), 60)], func(t *testing.T) {
			a := w.in(t).call("POST", tt.path, tt.h, tt.body).is(400, errcode.ValidationError)
			var e struct {
				Details struct {
					Fields map[string]string `json:"fields"`
				} `json:"details"`
			}
			a.into(&e)
			var got []string
			for name := range e.Details.Fields {
				got = append(got, name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got): %s", diff)
			}
		})
	}
	for _, id := range []string{"no-uuid", "01985d1c-5f0b-7d3a-b1c4-6e2a9f8d7c33", "%00", "{" + k.ID + "}"} {
		w.call("DELETE", keysPath+"/"+id, asAdmin, "").is(404, errcode.NotFound)
		w.call("POST", keysPath+"/"+id+"/rotate", asAdmin, "").is(404, errcode.NotFound)
	}
}
