// Package api is the public HTTP surface of the license service: it decodes, calls a use case, and answers.
package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// Deps is what the handlers work with.
type Deps struct {
	Seats       *licensing.Seats
	Offline     *licensing.Offline
	Leases      *lease.Leases
	Files       *licensefile.Files
	Revocations *licensefile.Revocations
	// FileKeys keeps the published keys of license files.
	FileKeys    *cache.Cache[struct{}, []licensefile.Key]
	Counters    *counter.Counters
	SignIns     *user.SignIns
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
	// RequireAPIKey admits calls with an API key whose allowed_endpoints cover the route, and counts them against its
	// limits.
	RequireAPIKey gin.HandlerFunc
}

// API is the handlers.
type API struct{ Deps }

// New returns the handlers.
func New(d Deps) *API { return &API{d} }

// deviceBody caps what devices send without an API key, in bytes: a token, or a heartbeat with 4 KiB of session data.
var deviceBody = httpx.MaxBody(32 << 10)

// Routes is the whole public surface of the service, beside what every service has.
func (a *API) Routes(r gin.IRouter) {
	g := r.Group("/api/v1/license")
	g.POST("/validate", a.RequireAPIKey, wire.Wrap(a.validate))
	g.POST("/users/sign-in", a.RequireAPIKey, wire.Wrap(a.signIn))
	g.POST("/users/change-password", a.RequireAPIKey, wire.Wrap(a.changePassword))
	g.POST("/activate", a.RequireAPIKey, wire.Wrap(a.activate))
	g.POST("/deactivate", a.RequireAPIKey, wire.Wrap(a.deactivate))
	g.POST("/license-file", a.RequireAPIKey, wire.Wrap(a.licenseFile))
	g.POST("/usage-report", a.RequireAPIKey, wire.Wrap(a.usageReport))
	g.GET("/revocations", a.RequireAPIKey, wire.Wrap(a.revocations))
	g.GET("/keys", wire.Wrap(a.fileKeys)) // public keys, for anybody
	g.POST("/consume", a.RequireAPIKey, wire.Wrap(a.consume))
	g.POST("/consume/undo", a.RequireAPIKey, wire.Wrap(a.undoConsume))
	g.PUT("/devices/variables", a.RequireAPIKey, wire.Wrap(a.putVariables))
	g.PATCH("/devices/:device_id", a.RequireAPIKey, wire.Wrap(a.labelDevice))
	g.POST("/heartbeat", deviceBody, a.accessToken, a.asHolder(a.heartbeat))
	g.POST("/offline-token", deviceBody, a.accessToken, a.asHolder(a.offlineToken))
	g.POST("/validate-offline", deviceBody, wire.Wrap(a.validateOffline))
	g.GET("/leases/keys", wire.Wrap(a.leaseKeys))
	g.POST("/leases", a.RequireAPIKey, wire.Wrap(a.checkOutLease))
	g.POST("/leases/:lease_id/renew", deviceBody, wire.Wrap(a.renewLease))
	g.DELETE("/leases/:lease_id", deviceBody, wire.Wrap(a.releaseLease))
}
