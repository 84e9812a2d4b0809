package license_test

import (
	"fmt"
	"net/http"
	"testing"
)

// To an API key that is bound to a product the licenses of others do not exist, on every endpoint that takes one; a
// product that does not exist leaves nothing.
func TestAnAPIKeyBoundToAProduct(t *testing.T) {
	calls := map[string]func(w *world, body string) answer{}
	for _, endpoint := range []string{"validate", "activate", "leases", "license-file", "consume", "consume/undo",
		"deactivate"} {
		calls[endpoint] = func(w *world, body string) answer { return w.post(endpoint, body) }
	}
	calls["variables"] = func(w *world, body string) answer {
		return w.call(http.MethodPut, "/api/v1/license/devices/variables", body, "X-API-Key", w.auth.apiKey)
	}
	calls["label"] = func(w *world, body string) answer {
		return w.call(http.MethodPatch, "/api/v1/license/devices/"+unknown, body, "X-API-Key", w.auth.apiKey)
	}
	for _, bound := range []string{"editor", "nothing-has-this-code"} {
		t.Run(bound, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.auth.limit, w.auth.product = nil, bound
				keys := map[string]string{}
				for _, product := range []string{"editor", "viewer"} {
					made := w.manage(http.MethodPost, "",
						fmt.Sprintf(`{"customer_id":"a","product":%q,"max_devices":9}`, product))
					w.want(made, http.StatusCreated, "")
					keys[product] = made.body["license_key"].(string)
				}
				for name, call := range calls {
					for product, key := range keys {
						body := fmt.Sprintf(`{"license_key":%q,"hardware_id":"pc","counter":"n","operation_id":"o",`+
							`"variables":{},"label":"x"}`, key)
						if got := call(w, body); (got.body["error_code"] == "LICENSE_NOT_FOUND") != (product != bound) {
							t.Errorf("%s of a license of %s: %d %s", name, product, got.status, got.raw)
						}
					}
				}
				other := fmt.Sprintf(`{"license_key":%q,"hardware_id":"pc","product":"viewer"}`, keys["editor"])
				w.want(w.post("validate", other), http.StatusNotFound, "LICENSE_NOT_FOUND")
			})
		})
	}
}
