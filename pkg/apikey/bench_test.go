package apikey_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// BenchmarkWarm is what the guard adds to a request.
func BenchmarkWarm(b *testing.B) {
	s := secret.New(apikey.Prefix)
	k := apikey.Key{
		ID:      "id",
		Allowed: []string{"/api/v1/license/*", "/api/v1/auth/token"},
		Limit:   ratelimit.Limit{PerMinute: 1e9, PerHour: 1e9},
	}
	guard := apikey.NewGuard(&source{keys: map[[32]byte]apikey.Key{secret.Hash(s): k}},
		apikey.Options{Clock: clock.System{}, Limiter: ratelimit.NewLocal(clock.System{}), Link: &link{alive: true}})
	for name, handlers := range map[string][]gin.HandlerFunc{
		"bare":    {func(*gin.Context) {}},
		"guarded": {guard.Require(), func(*gin.Context) {}},
	} {
		b.Run(name, func(b *testing.B) {
			gin.SetMode(gin.ReleaseMode)
			e := gin.New()
			e.POST("/api/v1/license/validate", handlers...)
			req := httptest.NewRequest(http.MethodPost, "/api/v1/license/validate", nil)
			req.Header.Set(apikey.Header, s)
			rec := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				e.ServeHTTP(rec, req)
			}
		})
	}
}
