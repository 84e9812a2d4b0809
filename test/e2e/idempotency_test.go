//go:build unix

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// creation is an operation that makes something, at every process of its service.
type creation struct {
	name           string
	urls           []string
	body, other    string
	header, secret string
	status         int
	// made counts what it has made.
	made func() int
}

func (w *harness) creations() []creation {
	w.Helper()
	id, key := w.create(`{"customer_id":"idempotency","max_devices":100}`)
	w.want(w.license("activate", device(key, "holder")), http.StatusCreated, "")
	pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":"holder"}`, id), "X-API-Key", w.APIKey), http.StatusOK, "")
	keyID, _ := w.apiKey(`{"client_name":"to be rotated"}`)
	at := func(service, path string) (urls []string) {
		for _, url := range w.URLs(service) {
			urls = append(urls, url+path)
		}
		return urls
	}
	count := func(member, url string, credential ...string) func() int {
		return func() int {
			a := w.want(w.call(http.MethodGet, url, "", credential...), http.StatusOK, "")
			if list, ok := a.body[member].([]any); ok {
				return len(list)
			}
			return int(a.body[member].(float64))
		}
	}
	admin, owner := w.AdminURL+"/api/v1/admin", []string{"X-Admin-API-Key", w.AdminAPIKey}
	return []creation{
		{"create", at("admin", "/api/v1/admin/licenses"), `{"customer_id":"idem"}`,
			`{"customer_id":"idem","max_devices":2}`,
			owner[0], owner[1], 201, count("total", admin+"/licenses?customer_id=idem", owner...)},
		{"bulk-create", at("admin", "/api/v1/admin/licenses/bulk-create"),
			`{"licenses":[{"customer_id":"idem bulk"},{"customer_id":7}]}`,
			`{"licenses":[{"customer_id":"idem bulk"}]}`,
			owner[0], owner[1], 207, count("total", admin+"/licenses?customer_id=idem%20bulk", owner...)},
		{"admin key", at("admin", "/api/v1/admin/keys"), `{"name":"idem","role":"viewer"}`,
			`{"name":"idem","role":"operator"}`, owner[0], owner[1], 201, count("admin_keys", admin+"/keys", owner...)},
		{"api-key", at("auth", "/api/v1/auth/api-key"), `{"client_name":"idem"}`, `{"client_name":"idem 2"}`,
			"X-Admin-Secret", w.AdminSecret, 201,
			count("api_keys", w.AuthURL+"/api/v1/auth/api-keys", "X-Admin-Secret", w.AdminSecret)},
		{"rotate", at("auth", "/api/v1/auth/api-keys/"+keyID+"/rotate"), `{"grace_seconds":60}`, `{"grace_seconds":61}`,
			"X-Admin-Secret", w.AdminSecret, 200, nil},
		{"activate", at("license", "/api/v1/license/activate"), device(key, "idem"),
			`{"license_key":"` + key + `","hardware_id":"idem","device_name":"other"}`,
			"X-API-Key", w.APIKey, 201, func() int { active, _ := w.devices(id); return active }},
		{"offline-token", at("license", "/api/v1/license/offline-token"), `{"duration_hours":2}`,
			`{"duration_hours":3}`, "Authorization", "Bearer " + pair.text("access_token"), 201, nil},
	}
}

// TestIdempotency: one key, one effect, one answer, at whichever process and however many ask at once.
func TestIdempotency(t *testing.T) {
	each(t, func(w *harness) {
		for _, c := range w.creations() {
			w.Run(c.name, func(t *testing.T) {
				here := *w
				here.T = t
				here.idempotent(c, c.name+rand.Text())
			})
		}
	})
}

func (w *harness) idempotent(c creation, key string) {
	before := 0
	if c.made != nil {
		before = c.made()
	}
	ask := func(i int, body string) answer {
		a, err := try(http.MethodPost, c.urls[i%len(c.urls)], body, c.header, c.secret, "Idempotency-Key", key)
		if err != nil {
			w.Error(err)
		}
		return a
	}
	answers := make([]answer, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = ask(i, c.body) })
	}
	all.Wait()
	first := w.want(ask(0, c.body), c.status, "")
	for _, a := range answers {
		switch {
		case a.header.Get("Retry-After") != "" && (a.code() == "IDEMPOTENCY_KEY_IN_USE" &&
			a.status == http.StatusConflict || a.status == http.StatusServiceUnavailable): // load is shed
		case a.status != c.status || string(a.raw) != string(first.raw):
			w.Errorf("other answers to one key: %d %s and %s", a.status, a.raw, first.raw)
		}
	}
	for i := range c.urls {
		if again := w.want(ask(i, c.body), c.status, ""); string(again.raw) != string(first.raw) ||
			again.header.Get("ETag") != first.header.Get("ETag") {
			w.Errorf("the answer changed: %s and %s", first.raw, again.raw)
		}
		w.want(ask(i, c.other), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
	}
	if c.made != nil && c.made() != before+1 {
		w.Errorf("%d things were made by one key", c.made()-before)
	}
}

// TestIdempotencyKeepsNoRefusals: the cause of a refusal may be gone by the next call; and a key belongs to who used
// it.
func TestIdempotencyKeepsNoRefusals(t *testing.T) {
	each(t, func(w *harness) {
		mine := fmt.Sprintf(`{"customer_id":"refused","license_key":"MY-OWN-%s"}`, rand.Text())
		refusal, shared := rand.Text(), rand.Text()
		w.want(w.admin(http.MethodPost, "/licenses", mine), http.StatusCreated, "")
		w.want(w.admin(http.MethodPost, "/licenses", mine, "Idempotency-Key", refusal), http.StatusConflict,
			"LICENSE_KEY_EXISTS")
		w.want(w.admin(http.MethodPost, "/licenses", mine, "Idempotency-Key", refusal), http.StatusConflict,
			"LICENSE_KEY_EXISTS")
		w.want(w.admin(http.MethodPost, "/licenses", `{"customer_id":"refused"}`, "Idempotency-Key", refusal),
			http.StatusCreated, "")

		other := w.want(w.admin(http.MethodPost, "/keys", `{"name":"other","role":"operator"}`), http.StatusCreated,
			"").text("admin_api_key")
		a := w.want(w.admin(http.MethodPost, "/licenses", `{"customer_id":"two"}`, "Idempotency-Key", shared),
			http.StatusCreated, "")
		b := w.want(w.call(http.MethodPost, w.AdminURL+"/api/v1/admin/licenses", `{"customer_id":"two"}`,
			"X-Admin-API-Key", other, "Idempotency-Key", shared), http.StatusCreated, "")
		if a.text("license_id") == b.text("license_id") {
			t.Error("an administrator was given what another one had made")
		}
	})
}

// TestAuditOfAuth: changes made at auth are in admin's audit log within two seconds, without secrets.
func TestAuditOfAuth(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.apiKey(`{"client_name":"audited"}`)
		rotated := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/api-keys/"+id+"/rotate", "", "X-Admin-Secret",
			w.AdminSecret), http.StatusOK, "")
		w.want(w.call(http.MethodDelete, w.AuthURL+"/api/v1/auth/api-keys/"+id, "", "X-Admin-Secret", w.AdminSecret,
			"X-Request-ID", "e2e-audit"), http.StatusOK, "")
		var seen string
		w.eventually(func() error {
			seen = ""
			for _, action := range []string{"api_key.create", "api_key.rotate", "api_key.revoke"} {
				a := w.admin(http.MethodGet, "/audit?per_page=20&action="+action, "")
				if !strings.Contains(string(a.raw), id) {
					return fmt.Errorf("no %s of %s: %s", action, id, a.raw)
				}
				seen += string(a.raw)
			}
			return nil
		})
		if strings.Contains(seen, key) || strings.Contains(seen, rotated.text("api_key")) {
			t.Error("the audit log shows an API key")
		}
		if !strings.Contains(seen, `"request_id":"e2e-audit"`) || !strings.Contains(seen, `"ip":"127.0.0.1"`) {
			t.Errorf("the audit log does not say who asked: %s", seen)
		}
	})
}

// TestIfMatch: who has not seen the last version changes nothing.
func TestIfMatch(t *testing.T) {
	each(t, func(w *harness) {
		id, _ := w.create(`{"customer_id":"versions"}`)
		path := "/licenses/" + id
		first := w.want(w.admin(http.MethodGet, path, ""), http.StatusOK, "").header.Get("ETag")
		second := w.want(w.admin(http.MethodPatch, path, `{"max_devices":2}`, "If-Match", first), http.StatusOK,
			"").header.Get("ETag")
		if first == "" || second == "" || first == second {
			t.Fatalf("ETags %q and %q", first, second)
		}
		w.want(w.admin(http.MethodPatch, path, `{"max_devices":3}`, "If-Match", first), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.admin(http.MethodDelete, path, "", "If-Match", first), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		for _, nonsense := range []string{`"nonsense"`, `"999999999999999999999999"`, `"-1"`, "\xff", `"`} {
			a := w.admin(http.MethodPatch, path, `{"max_devices":3}`, "If-Match", nonsense)
			if a.status != http.StatusPreconditionFailed && a.status != http.StatusBadRequest {
				t.Errorf("If-Match %q: %d %s", nonsense, a.status, a.raw)
			}
		}
		now := w.want(w.admin(http.MethodGet, path, ""), http.StatusOK, "")
		if now.header.Get("ETag") != second || now.body["max_devices"] != 2.0 {
			t.Errorf("a refused change was made: %s", now.raw)
		}
		if unchanged := w.want(w.admin(http.MethodPatch, path, `{}`, "If-Match", second), http.StatusOK,
			""); unchanged.header.Get("ETag") != second {
			t.Errorf("nothing changed, but the ETag did: %v", unchanged.header)
		}
		w.want(w.admin(http.MethodPatch, path, `{"max_devices":4}`, "If-Match", "*"), http.StatusOK, "")
		var race sync.WaitGroup
		tag := w.want(w.admin(http.MethodGet, path, ""), http.StatusOK, "").header.Get("ETag")
		won := make([]bool, 8)
		for i := range won {
			race.Go(func() {
				a, err := try(http.MethodPatch, w.AdminURL+"/api/v1/admin"+path,
					fmt.Sprintf(`{"max_devices":%d}`, 10+i), "X-Admin-API-Key", w.AdminAPIKey, "If-Match", tag)
				w.tolerate(a, err, http.StatusOK, http.StatusPreconditionFailed)
				won[i] = a.status == http.StatusOK
			})
		}
		race.Wait()
		if text, _ := json.Marshal(won); strings.Count(string(text), "true") != 1 {
			t.Errorf("of 8 changes of the same version, these were made: %s", text)
		}
		w.want(w.admin(http.MethodDelete, path, "", "If-Match", w.admin(http.MethodGet, path, "").header.Get("ETag")),
			http.StatusOK, "")
	})
}

// TestEventsOfALicense: changes of state, newest first, and nothing of others.
func TestEventsOfALicense(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"events"}`)
		w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
		w.want(w.license("validate", device(key, "pc")), http.StatusOK, "")
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"max_devices":2}`), http.StatusOK, "")
		// changes nothing, so no event
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"max_devices":2}`), http.StatusOK, "")
		w.want(w.admin(http.MethodDelete, "/licenses/"+id, `{"reason":"over"}`), http.StatusOK, "")
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"is_active":true}`), http.StatusOK, "")
		a := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/events?hours=1", ""), http.StatusOK, "")
		var types []string
		for _, e := range a.body["events"].([]any) {
			event := e.(map[string]any)
			types = append(types, event["type"].(string))
			if data := event["data"].(map[string]any); data["license_id"] != id || event["event_id"] == "" ||
				!strings.HasSuffix(event["occurred_at"].(string), "Z") {
				t.Errorf("event %v", event)
			}
		}
		if got, want := fmt.Sprint(types), "[license.reactivated license.deactivated license.updated "+
			"license.activated license.created]"; got != want || a.body["total"] != 5.0 {
			t.Errorf("%v events %s, want %s", a.body["total"], got, want)
		}
		if strings.Contains(string(a.raw), key) {
			t.Error("an event shows the license key")
		}
	})
}

// TestAuditKeepsNumbers: what no float64 holds reaches the audit log as it was sent.
func TestAuditKeepsNumbers(t *testing.T) {
	const before, after = "12345678901234567890", "9007199254740993"
	each(t, func(w *harness) {
		id, _ := w.create(`{"customer_id":"numbers","metadata":{"n":` + before + `}}`)
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"metadata":{"n":`+after+`}}`), http.StatusOK, "")
		w.eventually(func() error {
			a := w.admin(http.MethodGet, "/audit?action=license.update&license_id="+id, "")
			if a.status != http.StatusOK || !strings.Contains(string(a.raw), before) ||
				!strings.Contains(string(a.raw), after) {
				return fmt.Errorf("the audit log has %d %s", a.status, a.raw)
			}
			return nil
		})
	})
}
