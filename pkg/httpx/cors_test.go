package httpx

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func corsRig(t *testing.T, origins ...string) *rig {
	r := newRig(t, func(o *Options) { o.CORSOrigins = origins })
	r.POST("/things", func(c *gin.Context) {
		if c.GetHeader("X-API-Key") == "" {
			WriteError(c, errNoRoute)
			return
		}
		ok(c)
	})
	return r
}

func TestCORS(t *testing.T) {
	const app, other = "https://app.example.com", "https://other.example.com"
	for _, tt := range []struct {
		name, origin, allowed string
		origins               []string
	}{
		{"off", app, "", nil},
		{"any", app, "*", []string{"*"}},
		{"named", app, app, []string{other, app}},
		{"not named", other, "", []string{app}},
		{"not quite", app + ".evil.example", "", []string{app}},
		{"no page", "", "", []string{app}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := corsRig(t, tt.origins...)
			for _, path := range []string{"/things", "/nothing"} {
				w := r.do(t, "POST", path, "", "Origin", tt.origin) // also an error can be read by the page
				if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != 404 || got != tt.allowed {
					t.Errorf("%s: got %d for %q", path, w.Code, got)
				}
				exposed := w.Header().Get("Access-Control-Expose-Headers")
				if tt.allowed != "" && (!strings.Contains(strings.ToLower(exposed), "x-ratelimit-reset") ||
					!strings.Contains(exposed, "Retry-After")) {
					t.Errorf("exposed are %q", exposed)
				}
			}
			w := r.do(t, "OPTIONS", "/things", "", "Origin", tt.origin, "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "content-type,x-api-key")
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != tt.allowed {
				t.Errorf("preflight: got %d %v", w.Code, w.Header())
			}
			if tt.allowed != "" && (w.Code != http.StatusNoContent ||
				w.Header().Get("Access-Control-Allow-Methods") != "POST") {
				t.Errorf("preflight: got %d %v", w.Code, w.Header())
			}
		})
	}
}

func TestCORSKeepsTheAdminSecretOut(t *testing.T) {
	r := corsRig(t, "*")
	w := r.do(t, "OPTIONS", "/things", "", "Origin", "https://x.example", "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "x-admin-secret")
	if got := w.Header().Get("Access-Control-Allow-Headers"); got != "" {
		t.Errorf("allowed are %q", got)
	}
	wantError(t, r.do(t, "OPTIONS", "/things", ""), 405, "METHOD_NOT_ALLOWED")
}

func TestCheckOrigins(t *testing.T) {
	if err := CheckOrigins([]string{"*", "https://a.example", "http://localhost:3000", "http://[::1]:80"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "a.example", "https://", "https://a.example/", "https://a.example/x",
		"ftp://a.example", "https://u@a.example", "null", "https://*.example"} {
		if CheckOrigins([]string{"*", bad}) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
