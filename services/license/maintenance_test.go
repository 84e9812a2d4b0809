package license_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/openapi"
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
			here.studio()
			here.ada("")
			ended, endedKey := here.create(2, 30)
			here.want(here.post("activate", device(endedKey, "pc")), http.StatusCreated, "")
			here.want(here.post("offline-token", `{"duration_hours": 24}`, here.bearer(ended, "pc")...),
				http.StatusCreated, "")
			here.revocations(0)
			here.update(ended, `{"is_active":false}`) // the list has it once somebody asks, which would write
			s := here.licenseSpring("")
			s.object(s.get("check_license", key, "pc")) // makes the key that signs answers
			_, numberless := here.with(`"entitlements":[{"code":"new"}]`)
			here.want(here.post("activate", device(numberless, "pc")), http.StatusCreated, "")

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
				"activate": device(key, "other"), "deactivate": device(key, "pc"), "consume": `{}`,
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
			s.world = resting
			s.object(s.get("check_license", numberless, "pc"))
			resting.token()
			resting.revocations(0)
			resting.walk(id)
			found := resting.ask(resting.front(ada), http.MethodPost, "/api/v1/admin/licenses/search",
				fmt.Sprintf(`{"license_key": %q}`, key))
			if resting.want(found, http.StatusOK, ""); found.body["total"] != 1.0 {
				t.Errorf("a search by key: %v", found.body)
			}
			if ready := resting.call(http.MethodGet, "/readyz", ""); ready.body["maintenance"] != true ||
				ready.body["status"] != "ready" {
				t.Errorf("readyz: %v", ready.body)
			}
			here.want(here.post("activate", device(key, "other")), http.StatusCreated, "")
			here.clock.Advance(9*365*24*time.Hour + time.Hour) // the key of the list is due to be renewed
			resting.revocations(0)
		})
	}
}

// walk asks for everything that management has to show, and tries every change.
func (w *world) walk(licenseID string) {
	w.t.Helper()
	front := w.front(ada)
	for _, route := range w.internal.Routes() {
		if !strings.HasPrefix(route.Path, "/api/v1/admin/") {
			continue
		}
		path := strings.Replace(route.Path, ":license_id", licenseID, 1)
		got := w.ask(front, route.Method, parameter.ReplaceAllString(path, "1"), "")
		if reads := openapi.Reads(route.Method, route.Path); reads && got.status >= http.StatusInternalServerError ||
			!reads && got.body["error_code"] != "MAINTENANCE" {
			w.t.Errorf("%s %s (reads: %v): %d %v", route.Method, route.Path, reads, got.status, got.body)
		}
	}
}

var parameter = regexp.MustCompile(`:\w+`)

// maintained is another process of the service, in maintenance mode.
func (w *world) maintained(readOnly *db.DB) *world {
	before := w.db
	w.db, w.config.Maintenance = readOnly, true
	defer func() { w.db, w.config.Maintenance = before, false }()
	return w.replica()
}
