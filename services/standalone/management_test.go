package main

import (
	"io"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// opened is a suite that does not listen.
func opened(t *testing.T) *suite {
	t.Helper()
	set, err := loadSettings([]string{"--data-dir", t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	data, err := openDataDir(set.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.complete(&data.secrets); err != nil {
		t.Fatal(err)
	}
	s := newSuite(set, data, testkitWriter{t})
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Every route that admin shows has one implementation: admin's own, or that of the service which owns the data.
func TestManagementHasOneImplementation(t *testing.T) {
	s := opened(t)
	surface := archtest.Surface{Gateway: s.public["admin"].(*gin.Engine).Routes(), Owners: map[string]gin.RoutesInfo{},
		Own: []string{
			"POST /api/v1/admin/keys", "GET /api/v1/admin/keys", "DELETE /api/v1/admin/keys/:key_id",
			"GET /api/v1/admin/audit",
			"GET /api/v1/admin/statistics", "GET /api/v1/admin/licenses/:license_id/usage",
		}}
	for name, internal := range s.internal {
		surface.Owners[name] = internal.(*gin.Engine).Routes()
	}
	for name, public := range s.public {
		if name != "admin" {
			surface.Owners["public "+name] = public.(*gin.Engine).Routes()
		}
	}
	archtest.Management(t, surface)
}
