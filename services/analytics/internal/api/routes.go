// Package api is analytics' public HTTP surface. routes.go shows all of it; the shapes of the answers are those of package usage.
package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// longWork is the time of the routes that may read a whole log.
const longWork = 60 * time.Second

type api struct{ usage *usage.Service }

// Mount adds the routes to e; guard admits by API key.
func Mount(e *gin.Engine, u *usage.Service, guard gin.HandlerFunc) {
	a := api{u}
	v1 := e.Group("/api/v1/analytics", guard)
	v1.GET("/licenses/:license_id/patterns", httpx.Wrap(a.patterns))
	v1.POST("/licenses/:license_id/anomalies/detect", httpx.Timeout(longWork), httpx.Wrap(a.detect))
	v1.GET("/licenses/:license_id/risk-score", httpx.Wrap(a.risk))
	v1.GET("/reports/usage", httpx.Timeout(longWork), httpx.Wrap(a.report))
	v1.GET("/dashboard", httpx.Wrap(a.dashboard))
	v1.GET("/anomalies", httpx.Wrap(a.anomalies))
	v1.PATCH("/anomalies/:anomaly_id", httpx.Wrap(a.judge))
}
