package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAWrongNameIsNotQuoted: however long a code or a name is, the answer that refuses it is short, and tells of each
// mistake once.
func TestAWrongNameIsNotQuoted(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.with(`"max_devices":1`)
		long := strings.Repeat("x", 70_000)
		for _, terms := range []string{
			`"entitlements":[{"code":"b","counter":"` + long + `"}]`, `"entitlements":[{"code":"` + long + `"}]`,
			`"counters":[{"name":"` + long + `"}],"entitlements":[{"code":"b","counter":"n"}]`,
			`"features":["` + long + `"]`, `"license_type":"` + long + `"`, `"timezone":"` + long + `"`,
		} {
			for _, call := range []answer{
				w.manage("POST", "", `{"customer_id":"a",`+terms+`}`), w.manage("PATCH", "/"+id, `{`+terms+`}`),
				w.policies("POST", "", `{"code":"p",`+terms+`}`),
			} {
				w.want(call, http.StatusBadRequest, "VALIDATION_ERROR")
				fields := call.body["details"].(map[string]any)["fields"].(map[string]any)
				if len(call.raw) > 1000 || len(fields) != 1 {
					w.t.Errorf("%.80s: %d bytes, %.300s", terms, len(call.raw), call.raw)
				}
			}
		}
		for _, call := range []answer{
			w.policies("POST", "", `{"code":"p","product":"`+long+`"}`),
			w.manage("POST", "", `{"customer_id":"a","policy":"`+long+`"}`),
			w.blocks("POST", "", `{"hardware_id":"a","reason":"   "}`),
		} {
			w.want(call, http.StatusBadRequest, "VALIDATION_ERROR")
			if len(call.raw) > 1000 {
				w.t.Errorf("%d bytes: %.300s", len(call.raw), call.raw)
			}
		}
	})
}

// TestATokenOfTheWrongKind is answered with the kind to send: a new one would be refused as well.
func TestATokenOfTheWrongKind(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.activate(key, "pc")
		h := w.hold(id, "pc")
		for kind, got := range map[string]answer{
			"an access token":  w.beat([]string{"Authorization", "Bearer " + h.offline}),
			"an offline token": w.checkOffline(strings.TrimPrefix(h.access[1], "Bearer ")),
		} {
			w.want(got, http.StatusUnauthorized, "INVALID_TOKEN")
			if said := fmt.Sprint(got.body["error"]); !strings.Contains(said, "send "+kind) {
				w.t.Errorf("it says %q", said)
			}
		}
	})
}

// TestExplainTakesWhatTheCallTakes: the body of a refused call can be pasted, with the empty texts in it.
func TestExplainTakesWhatTheCallTakes(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		empty := fmt.Sprintf(`{"license_key":%q,"license_id":"","hardware_id":"pc"}`, key)
		w.want(w.post("validate", empty), http.StatusOK, "")
		w.explain(empty)
		both := fmt.Sprintf(`{"license_key":%q,"license_id":%q,"hardware_id":"pc"}`, key, id)
		explained := w.ask(w.admin, http.MethodPost, "/api/v1/admin/explain", both)
		for _, got := range []answer{w.post("validate", both), explained} {
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if got.body["details"].(map[string]any)["fields"].(map[string]any)["license_id"] == nil {
				w.t.Errorf("license_id is not named: %s", got.raw)
			}
		}
	})
}
