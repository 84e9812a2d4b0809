// Package api is analytics' public HTTP surface. routes.go shows all of it; the shapes of the answers are those of
// package usage.
package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// longWork is the time of the routes that may read all received events of a license, or all licenses and devices.
const longWork = 60 * time.Second

// Deps is what the handlers work with.
type Deps struct {
	Reports   *usage.Reports
	Anomalies *usage.Anomalies
	// RequireAPIKey admits calls with an API key that covers the route, and counts them against its limits.
	RequireAPIKey gin.HandlerFunc
}

// API is the handlers.
type API struct {
	Deps
	exports exports
}

// New returns the handlers.
func New(d Deps) *API { return &API{Deps: d, exports: exports{of: map[string]int{}}} }

// Routes is the whole public surface of the service, beside what every service has.
func (a *API) Routes(r gin.IRouter) {
	v1 := r.Group("/api/v1/analytics", a.RequireAPIKey, httpx.Wrap(refuseBound))
	v1.GET("/licenses/:license_id/patterns", httpx.Wrap(a.patterns))
	v1.POST("/licenses/:license_id/anomalies/detect", httpx.Timeout(longWork), httpx.Wrap(a.detect))
	v1.GET("/licenses/:license_id/risk-score", httpx.Wrap(a.risk))
	v1.GET("/reports/usage", httpx.Timeout(longWork), httpx.Wrap(a.report))
	v1.GET("/dashboard", httpx.Timeout(longWork), httpx.Wrap(a.dashboard))
	v1.GET("/anomalies", httpx.Wrap(a.anomalies))
	v1.PATCH("/anomalies/:anomaly_id", httpx.Wrap(a.judge))
}

// refuseBound refuses API keys that are bound to a product: to them, licenses of other products do not exist, and what
// is answered here is about all of them.
func refuseBound(c *gin.Context) error {
	if apikey.Of(c).Product != "" {
		return apikey.ErrNotAllowed
	}
	return nil
}
