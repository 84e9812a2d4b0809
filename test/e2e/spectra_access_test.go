//go:build unix

package e2e

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestSpectraAnalyzePaths: both prefixes, with and without a slash at the end, for owners alone.
func TestSpectraAnalyzePaths(t *testing.T) {
	a := startAppliance(start(t, embedded))
	keys := map[string]string{"nobody": ""}
	for _, role := range []string{"viewer", "operator", "owner"} {
		made := a.want(a.admin(http.MethodPost, "/keys", `{"name":"x","role":"`+role+`"}`), http.StatusCreated, "")
		keys[role] = made.text("admin_api_key")
	}
	for _, prefix := range []string{"/api/v1/license", "/api/license/v1"} {
		for _, call := range []struct {
			method, path string
			status       int
		}{
			{http.MethodGet, "", 200}, {http.MethodGet, "/status", 200},
			{http.MethodPost, "/machine-id/generate", 201}, {http.MethodPut, "/upload", 415},
			{http.MethodPost, "/configure/cloud", 400},
		} {
			for _, slash := range []string{"", "/"} {
				for role, key := range keys {
					want := map[string]int{"owner": call.status, "nobody": 401}[role]
					if want == 0 {
						want = 403
					}
					path := prefix + call.path + slash
					got := a.call(call.method, a.LicenseURL+path, "{}", "Authorization", "Token "+key)
					if got.status != want || got.body == nil {
						t.Errorf("%s %s by %s: %d %s, want %d", call.method, path, role, got.status, got.raw, want)
					}
				}
			}
		}
	}
	a.want(a.license("activate", device(a.key, "x")), http.StatusForbidden, "APPLIANCE_NOT_LICENSED")
}

// TestApplianceOfServices: the license service finds out at admin whose key it is shown, and says when it cannot.
func TestApplianceOfServices(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{Settings: []string{"LATCHKEY_EDGE=true"}})
	status := func(key string) answer {
		return w.call(http.MethodGet, w.LicenseURL+"/api/v1/license/status", "", "Authorization", "Token "+key)
	}
	if got := w.want(status(w.AdminAPIKey), http.StatusOK, ""); got.text("status") != "UNLICENSED" {
		t.Errorf("%s", got.raw)
	}
	w.want(status("ak_unknown"), http.StatusUnauthorized, "")
	w.want(w.license("validate", device(w.LicenseKey, "x")), http.StatusForbidden, "APPLIANCE_NOT_LICENSED")
	if err := w.Process("admin").Stop(); err != nil {
		t.Fatal(err)
	}
	w.want(status(w.AdminAPIKey), http.StatusBadGateway, "")
	w.want(w.call(http.MethodGet, w.LicenseURL+"/readyz", ""), http.StatusOK, "")
}
