package license_test

import (
	"crypto/ed25519"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license"
)

// TestNoApplianceUnlessAsked: elsewhere than in one process nothing of it is served.
func TestNoApplianceUnlessAsked(t *testing.T) {
	off := false
	for name, edit := range map[string]func(*license.Config){
		"switched off":   func(c *license.Config) { c.Embedded, c.Edge = true, &off },
		"one of several": func(*license.Config) {},
		"no dialect":     func(c *license.Config) { c.Embedded, c.Dialects = true, []string{"none"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newStillWorld(t, testkit.SQLite(t, license.Migrations...), edit)
			w.build()
			for _, path := range []string{"/api/v1/license/", "/api/v1/license/status/", "/api/license/v1/"} {
				got := w.ask(w.engine, http.MethodGet, path, "", "Authorization", "Token owner")
				w.want(got, http.StatusNotFound, errcode.NotFound)
			}
		})
	}
}

// TestDoctorAsksTheAdminOfAnAppliance: admin is a peer service in edge mode only.
func TestDoctorAsksTheAdminOfAnAppliance(t *testing.T) {
	on, cfg := true, license.DefaultConfig()
	service := license.Program(&cfg)
	if got := service.Peers(); !slices.Equal(got, []string{"auth"}) {
		t.Errorf("without an appliance: %v", got)
	}
	cfg.Edge = &on
	if got := service.Peers(); !slices.Equal(got, []string{"auth", "admin"}) {
		t.Errorf("an appliance: %v", got)
	}
}

// TestEdgeSettings: one that has no effect is refused.
func TestEdgeSettings(t *testing.T) {
	on, off := true, false
	root, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	escaped := strings.ReplaceAll(file.PublicPEM(root), "\n", `\n`)
	for name, tt := range map[string]struct {
		edit func(*license.Config)
		want string // the setting that is wrong; empty: none
	}{
		"none": {func(*license.Config) {}, ""},
		"an appliance": {func(c *license.Config) { c.Edge, c.EdgeRoots, c.EdgeProduct = &on, escaped, "x" },
			""},
		"two roots": {func(c *license.Config) { c.Edge, c.EdgeRoots = &on, escaped+file.PublicPEM(root) },
			""},
		"in one process": {func(c *license.Config) { c.Embedded, c.EdgeRoots = true, escaped }, ""},
		"no root": {func(c *license.Config) { c.Edge, c.EdgeRoots = &on, escaped+"x" },
			"LATCHKEY_EDGE_ROOTS"},
		"no code": {func(c *license.Config) { c.Edge, c.EdgeProduct = &on, "a b" },
			"LATCHKEY_EDGE_PRODUCT"},
		"roots of nothing": {func(c *license.Config) { c.EdgeRoots = escaped }, "LATCHKEY_EDGE_ROOTS"},
		"a product of nothing": {func(c *license.Config) { c.Edge, c.EdgeProduct = &off, "x" },
			"LATCHKEY_EDGE_PRODUCT"},
		"a URL of nothing": {func(c *license.Config) { c.EdgeURL = "https://x" }, "LATCHKEY_EDGE_URL"},
		"nobody licenses it": {func(c *license.Config) { c.Edge, c.Dialects = &on, []string{"none"} },
			"LATCHKEY_DIALECTS"},
		"a dialect of nothing": {func(c *license.Config) { c.Dialects = []string{"spectra-analyze"} },
			"LATCHKEY_DIALECTS"},
	} {
		c := config(tt.edit)
		err := c.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
