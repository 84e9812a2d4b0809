package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

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
