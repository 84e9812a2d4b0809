// Package api is the public HTTP surface of the license service: it decodes, calls a use case, and answers.
package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// API answers requests with the use cases.
type API struct {
	Licensing   *licensing.Licensing
	Idempotency *idempotency.Store
	// Tokens checks access tokens, OfflineTokens offline tokens.
	Tokens, OfflineTokens Tokens
	Families              Families
	// TokenAttempts bounds the tokens that one client address may have refused.
	TokenAttempts *guard.Attempts
	// Refusals notes refused tokens.
	Refusals *refusal.Recorder
	// TokenQuota limits the calls that one device makes with its tokens.
	TokenQuota ratelimit.Quota
	Clock      clock.Clock
}

// deviceBody caps what devices send without an API key, in bytes: a token, or a heartbeat with 4 KiB of session data.
var deviceBody = httpx.MaxBody(32 << 10)

// Routes is the whole public surface. apiKey wants an API key whose allowed_endpoints cover the route, and counts the call
// against its limits.
func (a *API) Routes(r gin.IRouter, apiKey gin.HandlerFunc) {
	g := r.Group("/api/v1/license")
	g.POST("/validate", apiKey, httpx.Wrap(a.validate))
	g.POST("/activate", apiKey, httpx.Wrap(a.activate))
	g.POST("/deactivate", apiKey, httpx.Wrap(a.deactivate))
	g.POST("/heartbeat", deviceBody, a.accessToken, a.asHolder(a.heartbeat))
	g.POST("/offline-token", deviceBody, a.accessToken, a.asHolder(a.offlineToken))
	g.POST("/validate-offline", deviceBody, httpx.Wrap(a.validateOffline))
}
