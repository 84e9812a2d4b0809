package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestChangesOfPoliciesAreJudgedWithTheRestOfThem: what a change says contradicts the terms that the policy has, or
// agrees with them.
func TestChangesOfPoliciesAreJudgedWithTheRestOfThem(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.policies("POST", "", `{"code":"metered","starts_at":"2030-01-01",
			"counters":[{"name":"exports"},{"name":"api"}],"entitlements":[{"code":"pdf","counter":"exports"}]}`),
			http.StatusCreated, "")
		for _, refused := range []struct{ body, member, says string }{
			{`{"expires_at":"2029-01-01"}`, "starts_at", "before expires_at"},
			{`{"counters":[]}`, "counters", "the entitlement pdf"},
			{`{"counters":[{"name":"api"}]}`, "counters", "the entitlement pdf"},
			{`{"entitlements":[{"code":"pdf","counter":"export"}]}`, "entitlements", "exports, api"},
			{`{"name":" "}`, "name", "empty"},
			{`{"expires_in_days":3}`, "expires_in_days", "duration_days"},
		} {
			got := w.policies("PATCH", "/metered", refused.body)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			fields := got.body["details"].(map[string]any)["fields"].(map[string]any)
			if said := fmt.Sprint(fields[refused.member]); !strings.Contains(said, refused.says) {
				w.t.Errorf("%s: %s", refused.body, got.raw)
			}
		}
		if got := w.policies("GET", "/metered", ""); got.body["version"] != 1.0 {
			w.t.Errorf("a refused change was made: %s", got.raw)
		}
		for _, body := range []string{
			`{"entitlements":[{"code":"pdf","counter":"api"},{"code":"doc","counter":"exports"}]}`,
			`{"expires_at":"2031-01-01"}`, `{"counters":[],"entitlements":[]}`,
		} {
			w.want(w.policies("PATCH", "/metered", body), http.StatusOK, "")
		}
	})
}
