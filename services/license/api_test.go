package license_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

func TestRulesKnowNeitherHTTPNorSQLNorTheBus(t *testing.T) {
	archtest.Rules(t, "./internal/licensing", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq")
	archtest.Imports(t, "./internal/licensing", "net/http", "database/sql", "github.com/latchkey-dev/latchkey/pkg/db",
		"github.com/latchkey-dev/latchkey/pkg/httpx")
	archtest.Imports(t, "./internal/api", "gorm.io", "github.com/latchkey-dev/latchkey/services/license/internal/store")
	archtest.Imports(t, "./internal/manage", "gorm.io",
		"github.com/latchkey-dev/latchkey/services/license/internal/store")
	archtest.Imports(t, "./internal/rpc", "gorm.io", "github.com/latchkey-dev/latchkey/services/license/internal/store")
}

func TestDocumentMatchesRoutes(t *testing.T) {
	eachAppliance(t, true, func(w *world) { openapitest.Check(t, openapi.License, w.engine.Routes()) })
}

func TestValidate(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		before := w.post("validate", device(key, "device-123"))
		w.want(before, http.StatusOK, "DEVICE_NOT_ACTIVATED")
		if _, ok := before.body["details"].(map[string]any); !ok || before.body["error"] == nil {
			w.t.Errorf("a refusal without text or details: %s", before.raw)
		}
		if before.body["valid"] != false || before.body["license_id"] != id {
			t.Errorf("before the activation: %v", before.body)
		}
		w.want(w.post("activate", device(key, "device-123")), http.StatusCreated, "")
		first := w.post("validate", device(strings.ToLower(key), "device-123"))
		w.want(first, http.StatusOK, "")
		if first.body["valid"] != true || first.body["cached"] != false ||
			!strings.HasSuffix(first.body["expires_at"].(string), "Z") {
			t.Errorf("the first validation: %v", first.body)
		}
		w.warm(func() answer { return w.post("validate", device(key, "device-123")) })
		unknown := w.post("validate", device("LIC-000000000000", "device-123"))
		w.want(unknown, http.StatusNotFound, "LICENSE_NOT_FOUND")
		if unknown.body["valid"] != false {
			t.Errorf("an unknown key: %v", unknown.body)
		}
		e := w.eventually("license.validation.failed")
		if strings.Contains(string(e.Data), key) {
			t.Error("an event carries a license key")
		}
		w.eventually("license.validated")
		w.eventually("license.activated")
	})
}

func TestValidateSeesChangesAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.update(id, `{"is_active":false}`)
		gone := w.post("validate", device(key, "pc"))
		w.want(gone, http.StatusForbidden, "LICENSE_INACTIVE")
		if gone.body["valid"] != false {
			t.Errorf("an inactive license: %v", gone.body)
		}
		w.want(w.post("activate", device(key, "other")), http.StatusForbidden, "LICENSE_INACTIVE")
		w.update(id, `{"is_active":true}`)
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.clock.Advance(30 * 24 * time.Hour)
		w.want(w.post("validate", device(key, "pc")), http.StatusForbidden, "LICENSE_EXPIRED")
	})
}

func TestActivateAndDeactivate(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		a := w.post("activate", `{"license_key":"`+key+
			`","hardware_id":"pc","device_name":"Büro","os_info":{"name":"Windows","version":"10"}}`)
		w.want(a, http.StatusCreated, "")
		if a.body["activated"] != true || a.body["device_name"] != "Büro" || a.body["expires_at"] != nil {
			t.Errorf("activation: %v", a.body)
		}
		again := w.post("activate", device(key, "pc"))
		w.want(again, http.StatusConflict, "ALREADY_ACTIVATED")
		if again.body["details"].(map[string]any)["device_id"] != a.body["device_id"] {
			t.Errorf("details do not show the activation: %v", again.body)
		}
		full := w.post("activate", device(key, "laptop"))
		w.want(full, http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED")
		if fmt.Sprint(full.body["details"]) != "map[limits:map[current_devices:1 max_devices:1]]" {
			t.Errorf("details do not show the limits: %v", full.body)
		}
		w.want(w.post("deactivate", device(key, "laptop")), http.StatusNotFound, "DEVICE_NOT_FOUND")
		d := w.post("deactivate", device(key, "pc"))
		w.want(d, http.StatusOK, "")
		if d.body["deactivated"] != true || d.body["device_id"] != a.body["device_id"] {
			t.Errorf("deactivation: %v", d.body)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "DEVICE_NOT_ACTIVATED")
		w.want(w.post("activate", device(key, "laptop")), http.StatusCreated, "")
		e := w.eventually("license.device_limit_exceeded")
		if !strings.Contains(string(e.Data), `"hardware_id":"laptop"`) {
			t.Errorf("event %s", e.Data)
		}
	})
}

// TestRenamedDevice: what a device says in any call shows in the list of devices, and what it leaves out stays.
func TestRenamedDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		said := func(name, system string) string {
			return `{"license_key":"` + key + `","hardware_id":"pc","device_name":"` + name +
				`","os_info":{"name":"Windows","version":"` + system + `"}}`
		}
		shows := func(name, system string) {
			t.Helper()
			testkit.Eventually(t, patience, func() error {
				if list := w.manage("GET", "/"+id+"/devices", ""); !strings.Contains(list.raw,
					`"device_name":"`+name+`","os_info":{"name":"Windows","version":"`+system+`"}`) {
					return fmt.Errorf("the list shows %s", list.raw)
				}
				return nil
			})
		}
		w.want(w.post("activate", said("First", "14")), http.StatusCreated, "")
		shows("First", "14")
		w.want(w.post("validate", said("Second", "15")), http.StatusOK, "")
		shows("Second", "15")
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", `{"device_name":"Third"}`, w.bearer(id, "pc")...),
			http.StatusOK, "")
		shows("Third", "15")
		w.want(w.post("activate", said("Fourth", "16")), http.StatusConflict, "ALREADY_ACTIVATED")
		shows("Fourth", "16")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		back := w.post("activate", device(key, "pc"))
		if w.want(back, http.StatusCreated, ""); back.body["device_name"] != "Fourth" {
			t.Errorf("came back as %v", back.body)
		}
		shows("Fourth", "16")
		_, other := w.create(1, 30)
		if bare := w.post("activate", device(other, "pc")); bare.body["device_name"] != nil {
			t.Errorf("a device without a name is shown as %v", bare.body["device_name"])
		}
	})
}

// TestANewSystemComesWithoutTheOldVersion: a device that names another operating system is not shown with the version
// of the last one.
func TestANewSystemComesWithoutTheOldVersion(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		said := func(system string) string {
			return `{"license_key":"` + key + `","hardware_id":"pc","os_info":` + system + `}`
		}
		shows := func(name, version string) {
			t.Helper()
			testkit.Eventually(t, patience, func() error {
				if list := w.manage("GET", "/"+id+"/devices", ""); !strings.Contains(list.raw,
					`"os_info":{"name":"`+name+`","version":"`+version+`"}`) {
					return fmt.Errorf("the list shows %s", list.raw)
				}
				return nil
			})
		}
		w.want(w.post("activate", said(`{"name":"Windows","version":"11"}`)), http.StatusCreated, "")
		w.want(w.post("validate", said(`{"name":"macOS"}`)), http.StatusOK, "")
		shows("macOS", "")
		w.want(w.post("validate", said(`{"version":"15"}`)), http.StatusOK, "")
		shows("macOS", "15")
		w.want(w.post("validate", said(`{"version":"26"}`)), http.StatusOK, "") // these two are written together
		w.want(w.post("validate", said(`{"name":"macOS"}`)), http.StatusOK, "")
		shows("macOS", "26")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		w.want(w.post("activate", said(`{"name":"Linux"}`)), http.StatusCreated, "")
		shows("Linux", "")
	})
}

// TestReplayAfterTheDeviceLeft: as the document of the API says, a repeated call is told what the first one was, though
// the device has left since. Validate tells what holds.
func TestReplayAfterTheDeviceLeft(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		first := w.post("activate", device(key, "pc"), "Idempotency-Key", "once")
		w.want(first, http.StatusCreated, "")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		again := w.post("activate", device(key, "pc"), "Idempotency-Key", "once")
		w.want(again, http.StatusCreated, "")
		if again.raw != first.raw || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the call again: %s %v", again.raw, again.header)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "DEVICE_NOT_ACTIVATED")
	})
}

func TestIdempotencyKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		first := w.post("activate", device(key, "pc"), "Idempotency-Key", "once")
		w.want(first, http.StatusCreated, "")
		second := w.post("activate", device(key, "pc"), "Idempotency-Key", "once")
		if second.status != http.StatusCreated || fmt.Sprint(second.body) != fmt.Sprint(first.body) {
			t.Errorf("the same call again: %d %v", second.status, second.body)
		}
		other := strings.Replace(device(key, "pc"), "{", `{"device_name":"other",`, 1)
		w.want(w.post("activate", other, "Idempotency-Key", "once"), http.StatusUnprocessableEntity,
			"IDEMPOTENCY_KEY_REUSED")
		refused := w.post("activate", device(key, "third"), "Idempotency-Key", "twice")
		w.want(refused, http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		// its cause is gone
		w.want(w.post("activate", device(key, "third"), "Idempotency-Key", "twice"), http.StatusCreated, "")
		w.want(w.post("activate", device(key, "pc"), "Idempotency-Key", "\x7f"), http.StatusBadRequest,
			"VALIDATION_ERROR")
	})
}

// TestEventsCarryShortTexts: what a device says of itself is kept whole in its row alone, and of an unknown key's not
// at all.
func TestEventsCarryShortTexts(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		long := strings.Repeat("\U0001F5A5", 255)
		say := func(key, hardwareID string) string {
			return fmt.Sprintf(`{"license_key": %q, "hardware_id": %q, "device_name": "%s", "app_version": "%s",
				"session_id": "%s",
				"os_info": {"name": "%s", "version": "%s"}}`, key, hardwareID, long, long, long, long, long)
		}
		for _, call := range []struct {
			path, key, hardwareID, event string
			texts                        int
		}{
			{"activate", key, "pc", "license.activated", 4},
			{"validate", key, "pc", "license.validated", 4},
			{"activate", key, "other", "license.device_limit_exceeded", 4},
			{"validate", "LIC-000000000000", "pc", "license.validation.failed", 0},
			{"deactivate", key, "pc", "device.deactivated", 1},
		} {
			answer := w.post(call.path, say(call.key, call.hardwareID))
			if data := string(w.eventually(call.event).Data); strings.Count(data, "\U0001F5A5") != 64*call.texts {
				t.Errorf("%s carries %d characters: %s", call.event, strings.Count(data, "\U0001F5A5"), data)
			}
			if name, ok := answer.body["device_name"]; ok && name != long {
				t.Errorf("the device is called %v", name)
			}
		}
	})
}

// TestEmptyIdempotencyKeysAreRefused: a client that sends the header counts on it.
func TestEmptyIdempotencyKeysAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		for _, path := range []string{"activate", "deactivate", "offline-token"} {
			for _, keys := range [][]string{{""}, {"", "a"}, {"a", ""}} {
				req := httptest.NewRequest(http.MethodPost, "/api/v1/license/"+path,
					strings.NewReader(device(key, "pc")))
				req.Header = http.Header{"X-Api-Key": {w.auth.apiKey}, "Authorization": {w.bearer(id, "pc")[1]},
					"Idempotency-Key": keys}
				rec := httptest.NewRecorder()
				w.public.ServeHTTP(rec, req)
				if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "Idempotency-Key") {
					t.Errorf("%s %q: %d %s", path, keys, rec.Code, rec.Body)
				}
			}
		}
	})
}

// TestKeysOfDevicesAreToldApart: applications that share an API key may choose the same Idempotency-Key.
func TestKeysOfDevicesAreToldApart(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(2, 0)
		_, second := w.create(1, 0)
		for _, body := range []string{device(key, "pc"), device(key, "laptop"), device(second, "pc")} {
			first := w.post("activate", body, "Idempotency-Key", "1")
			w.want(first, http.StatusCreated, "")
			if again := w.post("activate", body, "Idempotency-Key", "1"); fmt.Sprint(again.body) != fmt.Sprint(
				first.body) {
				t.Errorf("first %v, again %v", first.body, again.body)
			}
		}
	})
}

// TestDeactivateWhoseAnswerWasLost: the retry gets the first answer.
func TestDeactivateWhoseAnswerWasLost(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		first := w.post("deactivate", device(key, "pc"), "Idempotency-Key", "bye")
		w.want(first, http.StatusOK, "")
		again := w.post("deactivate", device(key, "pc"), "Idempotency-Key", "bye")
		if w.want(again, http.StatusOK, ""); fmt.Sprint(again.body) != fmt.Sprint(first.body) {
			t.Errorf("first %v, again %v", first.body, again.body)
		}
		w.want(w.post("deactivate", device(key, "pc")), http.StatusNotFound, "DEVICE_NOT_FOUND")
	})
}

// TestFeaturesTakenAway: validate-offline answers those of the token that the license still has.
func TestFeaturesTakenAway(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		h := w.hold(id, "pc")
		w.update(id, `{"features":["import"]}`)
		got := w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, h.offline))
		if w.want(got, http.StatusOK, ""); fmt.Sprint(got.body["features"]) != "[]" {
			t.Errorf("features %v", got.body["features"])
		}
	})
}

func TestRefusalsAreRepeatedWithTheirDetails(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		for hardwareID, want := range map[string]struct {
			status       int
			code, detail string
		}{
			"pc":    {http.StatusConflict, "ALREADY_ACTIVATED", "activated_at"},
			"other": {http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED", "limits"},
		} {
			first := w.post("activate", device(key, hardwareID), "Idempotency-Key", hardwareID)
			w.want(first, want.status, want.code)
			if details, _ := first.body["details"].(map[string]any); details[want.detail] == nil {
				w.t.Errorf("%s: no details.%s in %v", want.code, want.detail, first.body)
			}
			again := w.post("activate", device(key, hardwareID), "Idempotency-Key", hardwareID)
			if again.status != first.status || fmt.Sprint(again.body) != fmt.Sprint(first.body) {
				w.t.Errorf("first %d %v, then %d %v", first.status, first.body, again.status, again.body)
			}
		}
	})
}

func TestHeartbeat(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		token := w.bearer(id, "pc")
		h := w.call(http.MethodPost, "/api/v1/license/heartbeat", `{"session_data":{"custom":"data"}}`, token...)
		w.want(h, http.StatusOK, "")
		if h.body["status"] != "ok" || h.body["hardware_id"] != "pc" {
			t.Errorf("heartbeat: %v", h.body)
		}
		end := w.get(id)["expires_at"]
		state, _ := h.body["license"].(map[string]any)
		if h.body["next_heartbeat_seconds"] != 60.0 || state["is_active"] != true || state["expires_at"] != end {
			t.Errorf("heartbeat of a license until %v: %v", end, h.body)
		}
		if at, _ := h.body["server_time"].(string); at != w.clock.Now().UTC().Format(time.RFC3339Nano) {
			t.Errorf("server_time %s at %s", at, w.clock.Now().UTC())
		}
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "", token...), http.StatusOK, "")
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}"), http.StatusUnauthorized, "INVALID_TOKEN")
		e := w.eventually("license.heartbeat")
		if !strings.Contains(string(e.Data), `"custom":"data"`) {
			t.Errorf("event %s", e.Data)
		}
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", token...), http.StatusForbidden,
			"DEVICE_NOT_ACTIVATED")
	})
}

func TestRevokedFamilyIsRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.auth.revoke("family-1")
		got := w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", w.bearer(id, "pc")...)
		w.want(got, http.StatusUnauthorized, "INVALID_TOKEN")
	})
}

// TestUseOfATokenIsToldOnce: auth learns of the first use of each token, before it is answered, and of no other.
func TestUseOfATokenIsToldOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		bearer := w.bearer(id, "pc")
		heartbeat := func() answer { return w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", bearer...) }
		w.auth.revoke("t-1") // void, as when its pair was replaced
		w.want(heartbeat(), http.StatusUnauthorized, "INVALID_TOKEN")
		w.auth.tokenID = "t-2"
		bearer = w.bearer(id, "pc")
		for range 3 {
			w.want(heartbeat(), http.StatusOK, "")
		}
		w.auth.mu.Lock()
		defer w.auth.mu.Unlock()
		if !slices.Contains(w.auth.asked, "t-2") || len(w.auth.asked) > 3 { // about both tokens, and about their family
			t.Errorf("auth was asked about %q", w.auth.asked)
		}
	})
}

func TestOfflineToken(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 2)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		token := w.bearer(id, "pc")
		issue := func(body string) answer {
			t.Helper()
			return w.call(http.MethodPost, "/api/v1/license/offline-token", body, token...)
		}
		w.want(issue(`{"duration_hours":721}`), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(issue(`{"duration_hours":0}`), http.StatusBadRequest, "VALIDATION_ERROR")
		got := issue(`{"duration_hours":24}`)
		w.want(got, http.StatusCreated, "")
		check := func(raw any) answer {
			t.Helper()
			return w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, raw))
		}
		v := check(got.body["token"])
		w.want(v, http.StatusOK, "")
		if v.body["license_id"] != id || v.body["expires_at"] != got.body["expires_at"] ||
			v.body["issued_at"] != w.clock.Now().UTC().Truncate(time.Second).Format(time.RFC3339) ||
			fmt.Sprint(v.body["features"]) != "[export]" {
			t.Errorf("offline validation: %v", v.body)
		}
		held := w.post("deactivate", device(key, "pc"))
		w.want(held, http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")
		if held.body["details"].(map[string]any)["offline_token_expires_at"] != got.body["expires_at"] {
			t.Errorf("details do not tell until when: %v", held.body)
		}
		w.want(check(strings.TrimPrefix(token[1], "Bearer ")), http.StatusUnauthorized, "INVALID_TOKEN")
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", "Authorization",
			"Bearer "+got.body["token"].(string)), http.StatusUnauthorized, "INVALID_TOKEN")
		w.deactivate(id, "pc")
		revoked := check(got.body["token"])
		w.want(revoked, http.StatusUnauthorized, "INVALID_TOKEN")
		if revoked.body["details"].(map[string]any)["reason"] != "device_not_activated" {
			t.Errorf("details do not say why: %v", revoked.body)
		}
		w.eventually("license.offline_token.issued")
	})
}

func TestRateLimit(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		for i := range 60 {
			got := w.post("validate", device(key, "pc"))
			w.want(got, http.StatusOK, "")
			if left := got.header.Get("X-RateLimit-Remaining"); left != fmt.Sprint(59-i) {
				t.Fatalf("call %d: %s left", i+1, left)
			}
		}
		got := w.post("validate", device(key, "pc"))
		w.want(got, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		if got.header.Get("Retry-After") == "" || got.header.Get("X-RateLimit-Limit") != "60" {
			t.Errorf("headers %v", got.header)
		}
		w.clock.Advance(61 * time.Second)
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
	})
}

func TestCredentials(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		for _, credential := range []string{"", "garbage", "sk_", strings.ToUpper(w.auth.apiKey)} {
			got := w.call(http.MethodPost, "/api/v1/license/validate", device(key, "pc"), "X-API-Key", credential)
			w.want(got, http.StatusUnauthorized, "INVALID_API_KEY")
		}
		w.want(w.post("validate", "not even JSON", "X-API-Key", "garbage"), http.StatusUnauthorized, "INVALID_API_KEY")
	})
}

func TestAuthAwayKeepsServingKnownKeys(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.auth.mu.Lock()
		w.auth.away = true
		w.auth.mu.Unlock()
		w.clock.Advance(10 * time.Minute)
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.clock.Advance(6 * time.Minute)
		got := w.post("validate", device(key, "pc"))
		w.want(got, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

func TestBadInput(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		credentials := append([]string{"X-API-Key", w.auth.apiKey}, w.bearer(id, "pc")...)
		bodies := map[string]string{
			"malformed": `{"license_key":`, "array": `[]`, "text": `"x"`, "null": `null`, "trailing": `{} {}`,
			"BOM":         "\ufeff{}",
			"wrong types": `{"license_key":1,"hardware_id":[],"token":{},"session_data":"x","duration_hours":"24"}`,
			"nulls": `{"license_key":null,"hardware_id":null,"token":null,"session_data":null,` +
				`"duration_hours":null}`,
			"NUL": `{"license_key":"a\u0000b","hardware_id":"x","token":"\u0000",` +
				`"session_data":{"a":"\u0000"},"app_version":"\u0000","duration_hours":1.5}`,
			"bad UTF-8": "{\"license_key\":\"\xff\",\"hardware_id\":\"x\",\"token\":\"\xff\"," +
				"\"app_version\":\"\xff\"}",
			"surrogate":   `{"license_key":"\ud800","hardware_id":"x","token":"\ud800","app_version":"\ud800"}`,
			"huge number": `{"duration_hours":1e400,"license_key":9e99,"token":1,"session_data":1}`,
			"negative":    `{"duration_hours":-1,"license_key":-1,"token":-1,"session_data":-1}`,
			"deep":        strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
			"long": `{"license_key":"` + strings.Repeat("x", 256) + `","hardware_id":"` +
				strings.Repeat("y", 256) + `","token":"","app_version":"` + strings.Repeat("v", 256) +
				`","duration_hours":0}`,
		}
		endpoints := []string{"validate", "activate", "deactivate", "heartbeat", "offline-token", "validate-offline"}
		for _, endpoint := range endpoints {
			for name, body := range bodies {
				if name == "nulls" && (endpoint == "heartbeat" || endpoint == "offline-token") {
					continue // nothing is required there
				}
				got := w.call(http.MethodPost, "/api/v1/license/"+endpoint, body, credentials...)
				if got.status != http.StatusBadRequest || got.body["error_code"] != "VALIDATION_ERROR" {
					t.Errorf("%s, %s: %d %v", endpoint, name, got.status, got.body)
				}
			}
			big := w.call(http.MethodPost, "/api/v1/license/"+endpoint, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`,
				credentials...)
			w.want(big, http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
			w.want(w.call(http.MethodPost, "/api/v1/license/"+endpoint, "<a/>",
				slices.Concat(credentials, []string{"Content-Type", "text/xml"})...), http.StatusUnsupportedMediaType,
				"UNSUPPORTED_MEDIA_TYPE")
			w.want(w.call(http.MethodGet, "/api/v1/license/"+endpoint, ""), http.StatusMethodNotAllowed,
				"METHOD_NOT_ALLOWED")
		}
		w.want(w.call(http.MethodPost, "/api/v1/license/nothing", "{}"), http.StatusNotFound, "NOT_FOUND")
		if list := w.manage("GET", "/"+id+"/devices", ""); list.body["total"] != 1.0 {
			t.Errorf("bad input wrote something: %s", list.raw)
		}
	})
}

func TestHealth(t *testing.T) {
	eachWorld(t, func(w *world) {
		if got := w.call(http.MethodGet, "/healthz", ""); got.status != http.StatusOK {
			t.Errorf("healthz: %v", got)
		}
		if got := w.call(http.MethodGet, "/readyz", ""); got.status != http.StatusOK || got.body["status"] != "ready" {
			t.Errorf("readyz: %v", got)
		}
	})
}
