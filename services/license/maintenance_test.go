package license_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// TestMaintenance: while the database takes no changes, licenses are validated from it and from memory, and a change is
// refused in the form of its group of paths.
func TestMaintenance(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return testkit.Postgres(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "license.db") },
	} {
		t.Run(engine, func(t *testing.T) {
			cfg := db.Config{URL: url(t), Schema: "test"}
			here := newWorld(t, testkit.Open(t, cfg, license.Migrations...))
			here.auth.limit = nil
			id, key := here.create(2, 30)
			here.want(here.post("activate", device(key, "pc")), http.StatusCreated, "")
			offline := here.post("offline-token", `{"duration_hours": 24}`, here.bearer(id, "pc")...)
			here.want(offline, http.StatusCreated, "")

			cfg.ReadOnly = true
			resting := here.maintained(testkit.Open(t, cfg, license.Migrations...))
			cold := resting.post("validate", device(key, "pc"))
			if resting.want(cold, http.StatusOK, ""); cold.body["valid"] != true || cold.body["cached"] == true {
				t.Errorf("validate from the database: %v", cold.body)
			}
			resting.warm(func() answer { return resting.post("validate", device(key, "pc")) })
			resting.want(resting.post("validate-offline", fmt.Sprintf(`{"token": %q}`, offline.body["token"])),
				http.StatusOK, "")
			for path, body := range map[string]string{
				"activate": device(key, "other"), "deactivate": device(key, "pc"), "users/sign-in": `{}`,
			} {
				resting.want(resting.post(path, body), http.StatusServiceUnavailable, "MAINTENANCE")
			}
			for method, path := range map[string]string{
				http.MethodPost: "/api/v4/activate_license", http.MethodGet: "/api/v4/trial_key",
			} {
				got := resting.call(method, path, "")
				if got.status != http.StatusServiceUnavailable || got.body["code"] != "maintenance" {
					t.Errorf("%s: %d %v", path, got.status, got.body)
				}
			}
			if ready := resting.call(http.MethodGet, "/readyz", ""); ready.body["maintenance"] != true ||
				ready.body["status"] != "ready" {
				t.Errorf("readyz: %v", ready.body)
			}
			here.want(here.post("activate", device(key, "other")), http.StatusCreated, "")
		})
	}
}

// maintained is another process of the service, in maintenance mode.
func (w *world) maintained(readOnly *db.DB) *world {
	before := w.db
	w.db, w.config.Maintenance = readOnly, true
	defer func() { w.db, w.config.Maintenance = before, false }()
	return w.replica()
}
