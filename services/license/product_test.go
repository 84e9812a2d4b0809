package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// made creates a license and returns its id and key.
func (w *world) made(body string) (id, key string) {
	w.t.Helper()
	l := w.manage("POST", "", body)
	w.must(l, http.StatusCreated)
	return l.body["license_id"].(string), l.body["license_key"].(string)
}

// as is the body of a device that says more.
func as(key, hardwareID, more string) string {
	return fmt.Sprintf(`{"license_key":%q,"hardware_id":%q%s}`, key, hardwareID, more)
}

func TestAnInactiveProduct(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		_, key := w.made(`{"customer_id":"a","product":"editor","max_devices":5}`)
		_, other := w.made(`{"customer_id":"a"}`)
		w.activate(key, "pc")
		w.activate(other, "pc")
		for _, call := range []string{"validate", "validate"} {
			w.want(w.post(call, as(key, "pc", "")), http.StatusOK, "")
		}
		w.want(w.products("PATCH", "/editor", `{"is_active":false}`), http.StatusOK, "")
		refused := w.post("validate", as(key, "pc", ""))
		w.want(refused, http.StatusForbidden, "PRODUCT_INACTIVE")
		if refused.body["valid"] != false {
			w.t.Errorf("%s", refused.raw)
		}
		for _, hardwareID := range []string{"pc", "new"} {
			w.want(w.post("activate", as(key, hardwareID, "")), http.StatusForbidden, "PRODUCT_INACTIVE")
		}
		w.want(w.post("validate", as(other, "pc", "")), http.StatusOK, "")
		w.want(w.products("PATCH", "/editor", `{"is_active":true}`), http.StatusOK, "")
		w.want(w.post("validate", as(key, "pc", "")), http.StatusOK, "")
		w.want(w.post("activate", as(key, "new", "")), http.StatusCreated, "")
	})
}

func TestALicenseOfAnotherProduct(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.policies("POST", "", `{"code":"pro","max_devices":5}`), http.StatusCreated, "")
		_, key := w.made(`{"customer_id":"a","product":"editor","policy":"pro"}`)
		for call, more := range map[string]string{
			"activate": "", "validate": "", "deactivate": "", "leases": "", "license-file": "",
			"consume": `,"counter":"exports"`, "consume/undo": `,"operation_id":"a"`,
		} {
			for _, product := range []string{"viewer", "Editor"} {
				got := w.post(call, as(key, "pc", more+fmt.Sprintf(`,"product":%q`, product)))
				w.want(got, http.StatusNotFound, "LICENSE_NOT_FOUND")
			}
		}
		taken := w.post("activate", as(key, "pc", `,"product":"editor"`))
		w.want(taken, http.StatusCreated, "")
		seen := w.post("validate", as(key, "pc", `,"product":"editor"`))
		w.want(seen, http.StatusOK, "")
		w.want(w.post("deactivate", as(key, "pc", `,"product":"editor"`)), http.StatusOK, "")
		back := w.post("activate", as(key, "pc", ``))
		for what, got := range map[string]answer{"activated": taken, "validated": seen, "activated again": back} {
			if got.body["product"] != "editor" || got.body["policy"] != "pro" {
				w.t.Errorf("%s: %s", what, got.raw)
			}
		}
	})
}

func TestVersionsThatALicenseCovers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		_, plain := w.made(`{"customer_id":"a","product":"editor","max_devices":9}`)
		_, maintained := w.made(`{"customer_id":"a","product":"editor","max_devices":9,` +
			`"maintenance_until":"2026-01-31"}`)
		w.want(w.products("POST", "/editor/releases", `{"version":"2.0","released_at":"2026-02-01"}`),
			http.StatusCreated, "")
		w.want(w.products("POST", "/editor/releases", `{"version":"1.9","released_at":"2026-01-31"}`),
			http.StatusCreated, "")
		covered := func(key, version string, want bool) {
			w.t.Helper()
			status, code := http.StatusForbidden, "VERSION_NOT_COVERED"
			if want {
				status, code = http.StatusOK, ""
			}
			said := fmt.Sprintf(`,"app_version":%q`, version)
			w.want(w.post("validate", as(key, "pc", said)), status, code)
			if want {
				status = http.StatusCreated
			}
			w.want(w.post("activate", as(key, "device of "+version, said)), status, code)
		}
		w.activate(plain, "pc")
		w.activate(maintained, "pc")
		covered(plain, "2.0", true)
		for _, same := range []string{"2.0", "2", "v2.0.0", "2.0.0+build"} {
			covered(maintained, same, false)
		}
		covered(maintained, "1.9", true)
		covered(maintained, "0.1", true)
		w.want(w.products("PATCH", "/editor/releases/2.0", `{"released_at":"2026-01-15"}`), http.StatusOK, "")
		covered(maintained, "2.0", true)
		w.want(w.products("PATCH", "/editor", `{"min_version":"1.9"}`), http.StatusOK, "")
		covered(plain, "1.8.7", false)
		covered(plain, "1.10", true)
		refused := w.post("validate", as(maintained, "pc", `,"app_version":"1"`))
		details := refused.body["details"].(map[string]any)
		if details["min_version"] != "1.9" || details["maintenance_until"] != "2026-01-31T23:59:59Z" ||
			details["rule"] != "min_version" || !strings.Contains(refused.raw, "update the application") {
			w.t.Errorf("%s", refused.raw)
		}
		w.want(w.products("PATCH", "/editor/releases/v2", `{"released_at":"2026-02-02"}`), http.StatusOK, "")
		refused = w.post("validate", as(maintained, "pc", `,"app_version":"2"`))
		if details := refused.body["details"].(map[string]any); details["rule"] != "maintenance" ||
			!strings.Contains(refused.raw, "renew the maintenance") {
			w.t.Errorf("%s", refused.raw)
		}
		w.want(w.post("validate", as(maintained, "pc", "")), http.StatusOK, "")
	})
}

// TestOtherReplicasHearOfProducts: what they have in memory of its licenses goes.
func TestOtherReplicasHearOfProducts(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.made(`{"customer_id":"a","product":"editor"}`)
		w.activate(key, "pc")
		other := w.replica()
		validated := func() answer { return other.post("validate", as(key, "pc", "")) }
		w.want(validated(), http.StatusOK, "")
		w.want(w.products("PATCH", "/editor", `{"is_active":false}`), http.StatusOK, "")
		testkit.Eventually(w.t, patience, func() error {
			if got := validated(); got.body["error_code"] != "PRODUCT_INACTIVE" {
				return fmt.Errorf("%d %s", got.status, got.raw)
			}
			return nil
		})
	})
}
