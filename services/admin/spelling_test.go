package admin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
)

// TestNoSpellingOfAnIDFails: what admin answers itself, whatever it is sent for an id. The rest is its owners'.
func TestNoSpellingOfAnIDFails(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		for i, odd := range openapitest.Spellings(licenseID) {
			for call, want := range map[string]int{
				"DELETE /api/v1/admin/keys/" + url.PathEscape(odd):               http.StatusNotFound,
				"GET /api/v1/admin/audit?license_id=" + url.QueryEscape(odd):     http.StatusBadRequest,
				"GET /api/v1/admin/audit?actor_id=x%00" + url.QueryEscape(odd):   http.StatusBadRequest,
				"GET /api/v1/admin/licenses/" + url.PathEscape(odd) + "?hours=x": http.StatusBadRequest,
			} {
				if i == 0 && strings.Contains(call, "?license_id=") {
					want = http.StatusOK // in upper case it is one
				}
				method, target, _ := strings.Cut(call, " ")
				req := httptest.NewRequest(method, target, nil)
				req.Header.Set("X-Admin-API-Key", ownerKey)
				rec := httptest.NewRecorder()
				s.engine.ServeHTTP(rec, req)
				if rec.Code != want {
					t.Errorf("%s: %d %s, want %d", call, rec.Code, rec.Body, want)
				}
			}
		}
	})
}
