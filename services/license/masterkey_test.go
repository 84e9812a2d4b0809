package license_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license"
)

// TestAWrongMasterKeyIsNoVerdict: a replica that lacks the key under which licenses are answers 503, never
// LICENSE_NOT_FOUND.
func TestAWrongMasterKeyIsNoVerdict(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.config = config(func(c *license.Config) { c.MasterKey = secret.Secret(strings.Repeat("A", 43) + "=") })
		r := w.replica()
		for _, endpoint := range []string{"validate", "activate", "deactivate"} {
			for _, k := range []string{key, "LIC-000000000000"} {
				got := r.post(endpoint, device(k, "pc"))
				r.want(got, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
				if got.header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", endpoint)
				}
			}
		}
		ready := r.call(http.MethodGet, "/readyz", "")
		state, _ := ready.body["dependencies"].(map[string]any)["master_key"].(string)
		if ready.status != http.StatusServiceUnavailable || !strings.HasPrefix(state, "away: ") {
			t.Errorf("/readyz: %d %v", ready.status, ready.body)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
	})
}
