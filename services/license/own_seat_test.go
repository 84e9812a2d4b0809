package license_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestALeaseIsNoSeatForWhatADeviceKeeps: where no device needs a seat to work, variables, label and offline tokens do
// need one, and the refusal does not send for the lease that the device has.
func TestALeaseIsNoSeatForWhatADeviceKeeps(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":9,"activation":"none"}`)
		w.want(w.checkOut(key, "pc"), http.StatusCreated, "")
		if got := w.post("validate", device(key, "pc")); got.body["valid"] != true {
			t.Fatal(got.raw)
		}
		for name, got := range map[string]answer{
			"variables": w.call(http.MethodPut, "/api/v1/license/devices/variables",
				says(key, "pc", map[string]any{"variables": map[string]any{"a": "b"}}), "X-API-Key", w.auth.apiKey),
			"label": w.call(http.MethodPatch, "/api/v1/license/devices/"+unknown,
				says(key, "pc", map[string]any{"label": "desk"}), "X-API-Key", w.auth.apiKey),
			"offline-token": w.call(http.MethodPost, "/api/v1/license/offline-token", "", w.bearer(id, "pc")...),
		} {
			w.want(got, http.StatusForbidden, "DEVICE_NOT_ACTIVATED")
			said := got.body["error"].(string)
			if strings.Contains(said, "lease") || !strings.Contains(said, "activate") {
				t.Errorf("%s: %s", name, said)
			}
		}
		// Without a lease, what can do with one is told of it.
		if got := w.post("validate", device(key, "other")); !strings.Contains(got.raw, "no lease of the license") {
			t.Error(got.raw)
		}
	})
}

// TestARecognizedActivationKeepsItsVariables, as any other does.
func TestARecognizedActivationKeepsItsVariables(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"any"`)
		c := components("a", "b", "c")
		variables := func(of map[string]any) map[string]any { return merged(c, map[string]any{"variables": of}) }
		made := w.post("activate", says(key, "before", variables(map[string]any{"room": "1"})))
		w.want(made, http.StatusCreated, "")
		shown := func(want string) {
			t.Helper()
			got := w.manage(http.MethodGet, "/"+id+"/devices/"+made.body["device_id"].(string), "")
			if v, _ := got.body["variables"].(map[string]any); v["room"] != want || len(v) != 1 {
				t.Errorf("%s, want room %s", got.raw, want)
			}
		}
		w.want(w.post("activate", says(key, "after", c)), http.StatusCreated, "")
		shown("1")
		w.want(w.post("activate", says(key, "again", variables(map[string]any{"room": "2"}))), http.StatusCreated, "")
		shown("2")
		w.inUse(id, 1)
	})
}
