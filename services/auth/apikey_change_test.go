package auth_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// TestChangeAnAPIKey: the limits, the endpoints, the name and the end change one by one, in force at once.
func TestChangeAnAPIKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app", "allowed_endpoints": ["/api/v1/auth/token"], ` +
			`"rate_limit": {"per_minute": 1, "per_hour": 50}}`)
		client := headers{"X-API-Key": k.APIKey}
		w.issue(client)
		w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(429, errcode.RateLimitExceeded)
		var changed apiKey
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"rate_limit": {"per_minute": 600}}`).is(200, "").into(&changed)
		want := k
		want.APIKey, want.RateLimit.PerMinute = "", 600
		if diff := cmp.Diff(want, changed); diff != "" {
			w.Error(diff)
		}
		testkit.Eventually(w, patience, func() error {
			a := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device))
			if a.status != 200 || a.header.Get("X-RateLimit-Limit") != "600" {
				return fmt.Errorf("answered %d %v", a.status, a.header)
			}
			return nil
		})
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"allowed_endpoints": ["/other"], "client_name": "new", `+
			`"expires_at": "2099-12-31"}`).is(200, "").into(&changed)
		if changed.ClientName != "new" || fmt.Sprint(changed.AllowedEndpoints) != "[/other]" ||
			changed.RateLimit.PerMinute != 600 || changed.ExpiresAt == nil {
			w.Errorf("changed to %+v", changed)
		}
		testkit.Eventually(w, patience, func() error {
			if a := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)); a.status != 403 {
				return fmt.Errorf("answered %d", a.status)
			}
			return nil
		})
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"allowed_endpoints": [], "expires_at": null}`).is(200, "").
			into(&changed)
		if len(changed.AllowedEndpoints) != 2 || changed.ExpiresAt != nil {
			w.Errorf("changed to %+v", changed)
		}
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, ``).is(200, "")
		var audited eventsv1.AuditRecorded
		if w.awaitEvent(2, &audited); audited.Action != "api_key.update" ||
			!strings.Contains(audited.BeforeJson, `"per_minute":1`) ||
			!strings.Contains(audited.AfterJson, `"per_minute":600`) {
			w.Errorf("audit entry %+v", &audited)
		}
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(200, "")
		for _, id := range []string{k.ID, "no-uuid"} {
			w.call("PATCH", keysPath+"/"+id, asAdmin, `{"client_name": "x"}`).is(404, errcode.NotFound)
		}
	})
}

// TestAPatchOfAnAPIKeyTellsWhatChanged: nothing of one that changes nothing, and only the members that differ
// otherwise.
func TestAPatchOfAnAPIKeyTellsWhatChanged(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app", "allowed_endpoints": ["*"], "expires_at": "2099-12-31"}`)
		for _, same := range []string{
			``, `{}`, `{"client_name": "app"}`,
			`{"allowed_endpoints": ["*"], "rate_limit": {"per": "key"}, "expires_at": "2099-12-31"}`,
			`{"client_name": "new"}`,
		} {
			w.call("PATCH", keysPath+"/"+k.ID, asAdmin, same).is(200, "")
		}
		var audited eventsv1.AuditRecorded
		w.awaitEvent(2, &audited)
		before, after := `{"api_key_id":"`+k.ID+`","client_name":"app"}`, `{"api_key_id":"`+k.ID+
			`","client_name":"new"}`
		if audited.Action != "api_key.update" || audited.BeforeJson != before || audited.AfterJson != after {
			w.Errorf("audit entry %v", &audited)
		}
		w.awaitEvent(1, &eventsv1.ApiKeyUpdated{})
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(200, "")
		w.awaitEvent(1, &eventsv1.ApiKeyRevoked{}) // comes after all that was told before
		if n := len(w.events(eventsv1.TypeApiKeyUpdated)); n != 1 {
			w.Errorf("%d events of a change, want 1", n)
		}
	})
}

// TestShippedKeysAreLimitedPerAddress: a key that goes to all customers does not let one use up another's allowance.
func TestShippedKeysAreLimitedPerAddress(t *testing.T) {
	w := onSQLite(t)
	for body, want := range map[string]string{
		`{"client_name": "app"}`:                                                               "address",
		`{"client_name": "app", "allowed_endpoints": []}`:                                      "address",
		`{"client_name": "app", "rate_limit": {"per_minute": 5}}`:                              "address",
		`{"client_name": "app", "rate_limit": {"per": "key"}}`:                                 "key",
		`{"client_name": "app", "allowed_endpoints": ["/api/v1/license"]}`:                     "key",
		`{"client_name": "app", "allowed_endpoints": ["*"], "rate_limit": {"per": "address"}}`: "address",
	} {
		if got := w.createKey(body).RateLimit.Per; got != want {
			t.Errorf("%s: per %s, want %s", body, got, want)
		}
	}
	for patch, want := range map[string]string{
		`{"allowed_endpoints": []}`:                                                            "address",
		`{"allowed_endpoints": [], "rate_limit": {"per_minute": 5}}`:                           "address",
		`{"allowed_endpoints": [], "rate_limit": {"per": "key"}}`:                              "key",
		`{"allowed_endpoints": ["/api/v1/license/*", "/api/v1/auth/token"]}`:                   "key",
		`{"allowed_endpoints": ["/api/v1/license/validate"], "rate_limit": {"per_minute": 5}}`: "key",
	} {
		k := w.createKey(`{"client_name": "own", "allowed_endpoints": ["*"]}`)
		var changed apiKey
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, patch).is(200, "").into(&changed)
		if k.RateLimit.Per != "key" || changed.RateLimit.Per != want {
			t.Errorf("%s: per %s becomes %s, want %s", patch, k.RateLimit.Per, changed.RateLimit.Per, want)
		}
	}
	client := headers{"X-API-Key": w.createKey(`{"client_name": "app", "rate_limit": {"per_minute": 1}}`).APIKey}
	for _, customer := range []string{"192.0.2.1:1", "192.0.2.2:1"} {
		for _, status := range []int{200, 429} {
			req := httptest.NewRequest("POST", "/api/v1/auth/token", strings.NewReader(tokenBody(licenseID, device)))
			req.Header.Set("X-API-Key", client["X-API-Key"])
			req.RemoteAddr = customer
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, req)
			if rec.Code != status {
				t.Errorf("%s: %d, want %d", customer, rec.Code, status)
			}
		}
	}
}

const managed = "/api/v1/admin/api-keys"

// TestAPIKeysForAdmin: what admin forwards is done in the name of who asked there, once per Idempotency-Key.
func TestAPIKeysForAdmin(t *testing.T) {
	eachEngine(t, func(w *harness) {
		once := headers{"Idempotency-Key": "once"}
		made := w.manage("POST", "", once, `{"client_name":"app","rate_limit":{"per_minute":5},`+
			`"expires_at":"2099-01-31"}`).is(201, "")
		if again := w.manage("POST", "", once, `{"client_name":"app","rate_limit":{"per_minute":5},`+
			`"expires_at":"2099-01-31"}`).is(201, ""); again.body != made.body {
			w.Errorf("made %s, again %s", made.body, again.body)
		}
		var k, changed, rotated apiKey
		made.into(&k)
		w.issue(headers{"X-API-Key": k.APIKey})
		w.manage("PATCH", "/"+strings.ToUpper(k.ID), nil, `{"rate_limit":{"per_minute":0},"expires_at":null}`).
			is(200, "").into(&changed)
		want := k
		want.APIKey, want.RateLimit.PerMinute, want.ExpiresAt = "", 0, nil
		if diff := cmp.Diff(want, changed); diff != "" {
			w.Errorf("changed (-want +got):\n%s", diff)
		}
		w.manage("POST", "/"+k.ID+"/rotate", nil, `{"grace_seconds":60}`).is(200, "").into(&rotated)
		if rotated.APIKey == "" || rotated.APIKey == k.APIKey || rotated.OldExpiresAt == nil ||
			!rotated.OldExpiresAt.Equal(w.clock.Now().Add(time.Minute)) {
			w.Errorf("rotated %+v", rotated)
		}
		var list struct {
			Keys []apiKey `json:"api_keys"`
		}
		w.manage("GET", "", nil, "").is(200, "").into(&list)
		if diff := cmp.Diff([]apiKey{changed}, list.Keys); diff != "" {
			w.Errorf("list (-want +got):\n%s", diff)
		}
		gone := w.manage("DELETE", "/"+strings.ToUpper(k.ID), nil, "").is(200, "")
		if at := w.clock.Now().UTC().Format(time.RFC3339Nano); strings.TrimSpace(gone.body) != `{"id":"`+k.ID+
			`","revoked":true,"revoked_at":"`+at+`"}` {
			w.Errorf("revoked %s", gone.body)
		}
		for _, id := range []string{k.ID, "no-uuid", "%ff", "%00", "%7B" + k.ID + "%7D"} {
			w.manage("DELETE", "/"+id, nil, "").is(404, errcode.NotFound)
			w.manage("PATCH", "/"+id, nil, `{"rate_limit":{"per":"nobody"}}`).is(400, errcode.ValidationError)
		}
		for i, action := range []string{"api_key.create", "api_key.update", "api_key.rotate", "api_key.revoke"} {
			var audited eventsv1.AuditRecorded
			if w.awaitEvent(i+1, &audited); audited.Action != action || audited.Actor.Name != "Ada" ||
				audited.Actor.Ip != "192.0.2.7" {
				w.Errorf("audit entry %d: %v", i+1, &audited)
			}
		}
	})
}

func TestAPIKeysForAdminRefuse(t *testing.T) {
	w := onSQLite(t)
	id := "/" + w.createKey(`{"client_name": "app"}`).ID
	for _, tt := range []struct{ method, path, body, says string }{
		{"POST", "", ``, "client_name"},
		{"POST", "", `{"client_nam":"app"}`, "did you mean client_name?"},
		{"POST", "?x=1", `{"client_name":"app"}`, "none is taken here"},
		{"GET", "?page=1", ``, "none is taken here"},
		{"PATCH", id, `{"id":"x"}`, "is unknown"},
		{"PATCH", id, `{"client_name":null}`, "client_name"},
		{"PATCH", id, `{"rate_limit":{"per_minute":2147483648}}`, "rate_limit.per_minute"},
		{"PATCH", id, `{"rate_limit":{"per_hour":null}}`, "rate_limit.per_hour"},
		{"PATCH", id, `{"rate_limit":{"per":null}}`, "rate_limit.per"},
		{"POST", id + "/rotate", `{"grace_seconds":-1}`, "grace_seconds"},
		{"POST", id + "/rotate", `{"grace":1}`, "known are grace_seconds"},
		{"DELETE", id, `{"reason":"x"}`, "is unknown"},
		{"DELETE", id, `x`, "body"},
	} {
		if got := w.manage(tt.method, tt.path, nil, tt.body).
			is(400, errcode.ValidationError); !strings.Contains(got.body, tt.says) {
			t.Errorf("%s %s %s: %s", tt.method, tt.path, tt.body, got.body)
		}
	}
	var list struct {
		Keys []apiKey `json:"api_keys"`
	}
	if w.manage("GET", "", nil, "").into(&list); len(list.Keys) != 1 {
		t.Errorf("%d keys, want 1", len(list.Keys))
	}
}

// TestAPIKeysHaveNoVersions: a condition that nothing can be held to is refused instead of overlooked.
func TestAPIKeysHaveNoVersions(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app"}`)
		for _, call := range [][2]string{{"POST", ""}, {"PATCH", "/" + k.ID}, {"DELETE", "/" + k.ID},
			{"POST", "/" + k.ID + "/rotate"}} {
			w.manage(call[0], call[1], headers{"If-Match": `"1"`}, `{}`).is(400, errcode.ValidationError)
		}
		w.manage("GET", "", headers{"If-Match": `"1"`}, "").is(200, "")
		w.manage("DELETE", "/"+k.ID, headers{"If-Match": "*"}, "").is(200, "")
	})
}
