package auth_test

import (
	"fmt"
	"slices"
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

// TestEndpointsAreBoundedInCharacters, not in bytes, as names are.
func TestEndpointsAreBoundedInCharacters(t *testing.T) {
	w := onSQLite(t)
	body := func(n int) string {
		return `{"client_name": "a", "allowed_endpoints": ["/` + strings.Repeat("ß", n) + `"]}`
	}
	w.createKey(body(254))
	w.call("POST", keyPath, asAdmin, body(255)).is(400, errcode.ValidationError)
}
