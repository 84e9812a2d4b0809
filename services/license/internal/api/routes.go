// Package api is the public HTTP surface of the license service: it decodes, calls a use case, and answers.
package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// API answers requests with the use cases.
type API struct {
	Licensing   *licensing.Licensing
	Idempotency *idempotency.Store
	// Tokens checks access tokens, OfflineTokens offline tokens.
	Tokens, OfflineTokens Tokens
	Families              Families
	Clock                 clock.Clock
}

// Access is what a route asks of its caller.
type Access struct {
	// APIKey wants an API key whose allowed_endpoints cover the route, and counts the call against its limits.
	APIKey gin.HandlerFunc
	// Open counts calls without credential by client address, where that is switched on.
	Open gin.HandlerFunc
}

// Routes is the whole public surface.
func (a *API) Routes(r gin.IRouter, by Access) {
	g := r.Group("/api/v1/license")
	g.POST("/validate", by.APIKey, httpx.Wrap(a.validate))
	g.POST("/activate", by.APIKey, httpx.Wrap(a.activate))
	g.POST("/deactivate", by.APIKey, httpx.Wrap(a.deactivate))
	g.POST("/heartbeat", a.accessToken, httpx.Wrap(a.heartbeat))
	g.POST("/offline-token", a.accessToken, httpx.Wrap(a.offlineToken))
	g.POST("/validate-offline", by.Open, httpx.Wrap(a.validateOffline))
}
