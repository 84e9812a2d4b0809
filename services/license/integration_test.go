package license_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// integrations asks for integrations of the LicenseSpring API at admin.
func (w *world) integrations(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/integrations/licensespring"+path, body, headers...)
}

func TestIntegrations(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.integrations(http.MethodPost, "", `{"name":"Desktop"}`, "Idempotency-Key", "once")
		w.want(made, http.StatusCreated, "")
		again := w.integrations(http.MethodPost, "", `{"name":"Desktop"}`, "Idempotency-Key", "once")
		if made.raw != again.raw {
			w.t.Errorf("repeated: %s", again.raw)
		}
		if !strings.HasPrefix(made.body["public_key_pem"].(string), "-----BEGIN PUBLIC KEY-----\n") {
			w.t.Errorf("public key: %v", made.body["public_key_pem"])
		}
		id := made.body["id"].(string)
		rotated := w.integrations(http.MethodPost, "/"+id+"/rotate", `{"overlap_hours":1}`)
		w.want(rotated, http.StatusOK, "")
		if rotated.body["api_key"] == made.body["api_key"] || rotated.body["former_key_valid_until"] == nil ||
			rotated.body["public_key_pem"] != made.body["public_key_pem"] {
			w.t.Errorf("rotated: %s", rotated.raw)
		}
		listed := w.integrations(http.MethodGet, "", "")
		if listed.body["total"] != 1.0 || listed.body["integrations"].([]any)[0].(map[string]any)["id"] != id {
			w.t.Errorf("listed: %s", listed.raw)
		}
		for _, secret := range []string{"api_key", "shared_key", "client_secret", "client_id", "public_key_pem"} {
			if strings.Contains(listed.raw, secret) {
				w.t.Errorf("the list shows %s", secret)
			}
		}
		w.want(w.integrations(http.MethodDelete, "/"+id, ""), http.StatusOK, "")
		w.want(w.integrations(http.MethodDelete, "/"+id, ""), http.StatusNotFound, errcode.IntegrationNotFound)
		w.want(w.integrations(http.MethodPost, "/"+id+"/rotate", `{"overlap_hours":1}`), http.StatusNotFound,
			errcode.IntegrationNotFound)
		for _, event := range []string{
			eventsv1.TypeIntegrationCreated, eventsv1.TypeIntegrationKeyRotated, eventsv1.TypeIntegrationDeleted,
		} {
			w.eventually(event)
		}
		w.audited("integration.delete")
		var stored []string
		for _, answer := range []answer{made, rotated} {
			for _, name := range []string{"api_key", "shared_key", "client_secret"} {
				stored = append(stored, answer.body[name].(string))
			}
		}
		if tables := w.stored(stored); len(tables) > 0 {
			w.t.Errorf("secrets stand in %v", tables)
		}
	})
}

func TestIntegrationsRefuse(t *testing.T) {
	eachWorld(t, func(w *world) {
		for body, field := range map[string]string{
			`{}`: "name",
			`{"name":"` + strings.Repeat("n", 256) + `"}`:  "name",
			`{"name":"x","products":["nowhere"]}`:          "products",
			`{"name":"x","rate_limit":{"per_minute":-1}}`:  "rate_limit.per_minute",
			`{"name":"x","rate_limit":{"per":"customer"}}`: "rate_limit.per",
			`{"name":"x","api_key":"mine"}`:                "api_key",
		} {
			got := w.integrations(http.MethodPost, "", body)
			w.want(got, http.StatusBadRequest, errcode.ValidationError)
			if fields := got.body["details"].(map[string]any)["fields"].(map[string]any); fields[field] == nil {
				w.t.Errorf("%s: %v", body, fields)
			}
		}
		made := w.integrations(http.MethodPost, "", `{"name":"x","products":["default"],"read_only":true}`)
		w.want(made, http.StatusCreated, "")
		rotate := "/" + made.body["id"].(string) + "/rotate"
		for _, body := range []string{`{}`, `{"overlap_hours":-1}`, `{"overlap_hours":8761}`, `{"overlap":1}`} {
			w.want(w.integrations(http.MethodPost, rotate, body), http.StatusBadRequest, errcode.ValidationError)
		}
		w.want(w.integrations(http.MethodDelete, "/none", ""), http.StatusNotFound, errcode.IntegrationNotFound)
	})
}
