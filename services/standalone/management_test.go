package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// opened is a suite that is open and does not listen.
func opened(t *testing.T, args ...string) *suite {
	t.Helper()
	set, err := loadSettings(append(args, "--data-dir", t.TempDir()), io.Discard)
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

// Admin keys are shown to admin, and to license where it is an appliance: an address has its failures once.
func TestGuessesOfAdminKeysAreCountedOnce(t *testing.T) {
	s := opened(t, "--address-limits=true", "--edge=true")
	guess := func(service, path, header, value string) int {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set(header, value)
		rec := httptest.NewRecorder()
		s.public[service].ServeHTTP(rec, req)
		return rec.Code
	}
	var statuses []int
	for range 6 {
		statuses = append(statuses, guess("license", "/api/v1/license", "Authorization", "Token guess"),
			guess("admin", "/api/v1/admin/licenses", "X-Admin-API-Key", "guess"))
	}
	want := append(slices.Repeat([]int{http.StatusUnauthorized}, 10), http.StatusTooManyRequests,
		http.StatusTooManyRequests)
	if !slices.Equal(statuses, want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
}

// Every route that admin shows has one implementation: admin's own, or that of the service which owns the data.
func TestManagementHasOneImplementation(t *testing.T) {
	s := opened(t)
	surface := archtest.Surface{Gateway: s.public["admin"].(*gin.Engine).Routes(), Owners: map[string]gin.RoutesInfo{},
		Own: []string{
			"POST /api/v1/admin/keys", "GET /api/v1/admin/keys", "DELETE /api/v1/admin/keys/:key_id",
			"GET /api/v1/admin/audit",
			"GET /api/v1/admin/statistics", "GET /api/v1/admin/licenses/:license_id/usage",
			"GET /api/v1/admin/licenses/:license_id/refusals",
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
