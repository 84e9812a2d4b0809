package analytics_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit/guardtest"
	"github.com/latchkey-dev/latchkey/services/analytics"
)

func TestGuessesOfAPIKeys(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		on := true
		s, _ := w.start(func(c *analytics.Config) { c.AddressLimits = &on })
		guardtest.Check(t, guardtest.Route{
			Handler: s.Handler(), Limit: 60,
			Request: func(credentials ...string) *http.Request {
				req := httptest.NewRequest(http.MethodGet, "/api/v1/analytics/dashboard", nil)
				for _, credential := range credentials {
					req.Header.Add(apikey.Header, credential)
				}
				return req
			},
			Unguessable: true,
			Good:        func(*testing.T) string { return w.auth.key },
			Ended:       func(*testing.T) string { return w.auth.endedKey(secret.New(apikey.Prefix)) },
			Wrong:       []string{"sk_nonsense", secret.New(apikey.Prefix), secret.New("ak_")},
		})
	})
}

// TestRateLimitsArePruned in the background, however many there are.
func TestRateLimitsArePruned(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		guardtest.RateLimitsArePruned(t, w.db, func() {
			w.start(func(c *analytics.Config) { c.RateLimitShared = true })
		})
	})
}
