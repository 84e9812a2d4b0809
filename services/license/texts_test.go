package license_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWrongMembersAreNamedAsTheyStand: what is wrong is told of the member that the request has, or lacks, in words
// that say what to do.
func TestWrongMembersAreNamedAsTheyStand(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		const admin = "/api/v1/admin"
		for _, tt := range []struct {
			method, path, body string
			fields             map[string]any
		}{
			{"POST", admin + "/products", `{}`, map[string]any{"code": "is required"}},
			{"POST", admin + "/policies", `{}`, map[string]any{"code": "is required"}},
			{"POST", managed, `{"customer_id":"a","max_devices":0}`,
				map[string]any{"max_devices": "must be from 1 to 1000000, or null for any number"}},
			{"POST", managed, `{"customer_id":"a","new_devices":{"limit":3}}`,
				map[string]any{"new_devices.window_hours": "is required, from 1 to 8760"}},
			{"POST", managed + "/" + id + "/transfer", `{}`,
				map[string]any{"from_hardware_id": "is required", "to_hardware_id": "is required"}},
			{"PATCH", managed + "/" + id, `{"policy":"gold"}`,
				map[string]any{"policy": "cannot be set here; use /change-policy"}},
			{"PATCH", managed + "/" + id, `{"statistics":{}}`, map[string]any{"statistics": "cannot be set here"}},
			{"POST", managed + "/bulk", `{}`, map[string]any{"action": "must be one of change-policy, convert, " +
				"deactivate, reactivate, reinstate, renew, suspend, update"}},
			{"POST", managed + "/bulk", `{"action":"suspend","license_ids":["` + id + `"],"params":{}}`,
				map[string]any{"params.reason": "is required"}},
			{"POST", managed + "/bulk", `{"action":"renew","license_ids":["` + id + `"],"params":{"days":-1}}`,
				map[string]any{"params.days": "must be from 1 to 36500"}},
			{"POST", managed + "/" + id + "/enrollment-keys", `{"label":"x","max_devices":-1}`,
				map[string]any{"max_devices": "must be from 1 to 1000000, or null for any number"}},
		} {
			got := w.ask(w.front(ada), tt.method, tt.path, tt.body)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if diff := cmp.Diff(any(tt.fields), got.body["details"].(map[string]any)["fields"]); diff != "" {
				t.Errorf("%s %s %s (-want +got):\n%s", tt.method, tt.path, tt.body, diff)
			}
		}
	})
}

// TestRefusedTokensSayWhy: a token that is refused with its license has the advice of the license, and one that a lease
// needs is called by its name.
func TestRefusedTokensSayWhy(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none"}`)
		w.activate(key, "pc")
		token := w.call(http.MethodPost, "/api/v1/license/offline-token", "{}", w.bearer(id, "pc")...)
		w.must(token, http.StatusCreated)
		leased := w.checkOut(key, "pc")
		w.alter(id, "suspend", `{"reason":"unpaid"}`)
		refused := w.post("validate-offline", `{"token":"`+token.body["token"].(string)+`"}`)
		w.want(refused, http.StatusUnauthorized, "INVALID_TOKEN")
		if said := refused.body["error"].(string); !strings.HasPrefix(said, "the token is not valid now: ") ||
			!strings.Contains(said, "wait for the end of the suspension") {
			t.Errorf("a suspended license: %s", said)
		}
		bare := w.call(http.MethodPost, "/api/v1/license/leases/"+leased.body["lease_id"].(string)+"/renew", "")
		w.want(bare, http.StatusUnauthorized, "INVALID_TOKEN")
		if said := bare.body["error"].(string); !strings.HasPrefix(said, "send the lease_token once") {
			t.Errorf("a renewal without its token: %s", said)
		}
	})
}
