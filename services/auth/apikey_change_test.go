package auth_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// TestC5ChangeAnAPIKey: the limits, the endpoints, the name and the end change one by one, in force at once.
func TestC5ChangeAnAPIKey(t *testing.T) {
	eachEngine(t, func(w *world) {
		k := w.createKey(`{"client_name": "app", "allowed_endpoints": ["/api/v1/auth/token"], "rate_limit": {"per_minute": 1, "per_hour": 50}}`)
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
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"allowed_endpoints": ["/other"], "client_name": "new", "expires_at": "2099-12-31"}`).is(200, "").into(&changed)
		if changed.ClientName != "new" || fmt.Sprint(changed.AllowedEndpoints) != "[/other]" || changed.RateLimit.PerMinute != 600 || changed.ExpiresAt == nil {
			w.Errorf("changed to %+v", changed)
		}
		testkit.Eventually(w, patience, func() error {
			if a := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)); a.status != 403 {
				return fmt.Errorf("answered %d", a.status)
			}
			return nil
		})
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"allowed_endpoints": [], "expires_at": null}`).is(200, "").into(&changed)
		if len(changed.AllowedEndpoints) != 2 || changed.ExpiresAt != nil {
			w.Errorf("changed to %+v", changed)
		}
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, ``).is(200, "")
		var audited eventsv1.AuditRecorded
		if w.awaitEvent(2, &audited); audited.Action != "api_key.update" || !strings.Contains(audited.BeforeJson, `"per_minute":1`) || !strings.Contains(audited.AfterJson, `"per_minute":600`) {
			w.Errorf("audit entry %+v", &audited)
		}
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(200, "")
		for _, id := range []string{k.ID, "no-uuid"} {
			w.call("PATCH", keysPath+"/"+id, asAdmin, `{"client_name": "x"}`).is(404, errcode.NotFound)
		}
	})
}

// TestC6ShippedKeysAreLimitedPerAddress: a key that goes to all customers does not let one use up another's allowance.
func TestC6ShippedKeysAreLimitedPerAddress(t *testing.T) {
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
			t.Errorf("L2: %s: per %s becomes %s, want %s", patch, k.RateLimit.Per, changed.RateLimit.Per, want)
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

// TestAPIKeysForAdmin: what admin asks for is done in the name of who asked there, once per Idempotency-Key.
func TestAPIKeysForAdmin(t *testing.T) {
	eachEngine(t, func(w *world) {
		name, perMinute := "app", int32(5)
		by := &rpcv1.Actor{Id: "k-1", Name: "Ada", Role: "owner"}
		create := func() *authv1.CreateAPIKeyResponse {
			res, err := w.authForAdmin.CreateAPIKey(w.Context(), connect.NewRequest(&authv1.CreateAPIKeyRequest{
				Actor: by, ApiKey: &authv1.APIKeyChange{ClientName: &name, PerMinute: &perMinute}, IdempotencyKey: "once",
			}))
			w.must(err)
			return res.Msg
		}
		made := create()
		if again := create(); !proto.Equal(made, again) {
			w.Errorf("made %v, again %v", made, again)
		}
		w.issue(headers{"X-API-Key": made.Secret})
		perMinute = 0
		updated, err := w.authForAdmin.UpdateAPIKey(w.Context(), connect.NewRequest(&authv1.UpdateAPIKeyRequest{
			Actor: by, ApiKeyId: made.ApiKey.ApiKeyId, Change: &authv1.APIKeyChange{PerMinute: &perMinute, ExpiresAt: timestamppb.New(w.clock.Now().Add(time.Hour))},
		}))
		w.must(err)
		rotated, err := w.authForAdmin.RotateAPIKey(w.Context(), connect.NewRequest(&authv1.RotateAPIKeyRequest{Actor: by, ApiKeyId: made.ApiKey.ApiKeyId}))
		w.must(err)
		if updated.Msg.ApiKey.RateLimit.PerMinute != 0 || !proto.Equal(updated.Msg.ApiKey, rotated.Msg.ApiKey) || rotated.Msg.Secret == made.Secret {
			w.Errorf("updated %v, rotated %v", updated.Msg, rotated.Msg)
		}
		list, err := w.authForAdmin.ListAPIKeys(w.Context(), connect.NewRequest(&authv1.ListAPIKeysRequest{}))
		w.must(err)
		if len(list.Msg.ApiKeys) != 1 || !proto.Equal(list.Msg.ApiKeys[0], rotated.Msg.ApiKey) {
			w.Errorf("list %v", list.Msg)
		}
		revoke := func() error {
			_, err := w.authForAdmin.RevokeAPIKey(w.Context(), connect.NewRequest(&authv1.RevokeAPIKeyRequest{Actor: by, ApiKeyId: made.ApiKey.ApiKeyId}))
			return err
		}
		w.must(revoke())
		if err := revoke(); !errors.Is(err, credential.ErrAPIKeyNotFound) {
			w.Errorf("revoked twice: %v", err)
		}
		for i, action := range []string{"api_key.create", "api_key.update", "api_key.rotate", "api_key.revoke"} {
			var audited eventsv1.AuditRecorded
			if w.awaitEvent(i+1, &audited); audited.Action != action || audited.Actor.Name != "Ada" {
				w.Errorf("audit entry %d: %v", i+1, &audited)
			}
		}
	})
}
