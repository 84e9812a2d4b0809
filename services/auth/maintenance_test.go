package auth_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/auth"
)

// TestMaintenance: while the database takes no changes, a pair that was refreshed just before is verified,
// though nobody can note that it is in use. Afterwards it is.
func TestMaintenance(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return testkit.Postgres(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "auth.db") },
	} {
		t.Run(engine, func(t *testing.T) {
			migrations := append(slices.Clone(auth.Migrations), inproc.Migrations)
			cfg := db.Config{URL: url(t), Schema: "test"}
			here := newHarness(t, testkit.Open(t, cfg, migrations...))
			client := here.client()
			first := here.issue(client)
			var second pair
			here.refresh(first.Refresh).is(http.StatusOK, "").into(&second)

			cfg.ReadOnly = true
			resting := here.maintained(testkit.Open(t, cfg, migrations...))
			resting.verify(second.Access).is(http.StatusOK, "")
			resting.refresh(second.Refresh).is(http.StatusServiceUnavailable, "MAINTENANCE")
			resting.call(http.MethodPost, "/api/v1/auth/token", client, tokenBody(licenseID, device)).
				is(http.StatusServiceUnavailable, "MAINTENANCE")
			resting.call(http.MethodGet, "/.well-known/jwks.json", nil, "").is(http.StatusOK, "")

			here.verify(second.Access).is(http.StatusOK, "")
			again := here.refresh(first.Refresh).is(http.StatusUnauthorized, "INVALID_TOKEN")
			if reason := again.reason(); reason != "reused" {
				t.Errorf("the refresh token before is refused as %q", reason)
			}
		})
	}
}

// maintained is another process of the service, in maintenance mode.
func (w *harness) maintained(readOnly *db.DB) *harness {
	w.Helper()
	r := *w
	r.db, r.cfg.Maintenance, r.seen = readOnly, true, &witness{}
	r.build()
	r.run(w.bus)
	return &r
}
