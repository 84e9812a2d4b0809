// Package api is auth's public HTTP surface. routes.go shows all of it; the wire types live beside their handlers.
package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/manage"
)

// Deps is what the handlers work with.
type Deps struct {
	Tokens      *credential.Tokens
	SigningKeys *credential.SigningKeys
	// APIKeys answers the administrator.
	APIKeys *manage.Manage
	// RequireAPIKey admits calls with an API key that covers the route, and counts them against its limits.
	RequireAPIKey gin.HandlerFunc
	// AdminSecrets open the administrator's routes: the current one and, while it is being changed, the one before.
	// Empty ones open nothing.
	AdminSecrets []secret.Secret
	Idempotency  *idempotency.Store
	// TokenAttempts and AdminAttempts bound the tokens and the admin secrets that one client address may have refused.
	TokenAttempts, AdminAttempts *guard.Attempts
}

// API is the handlers. They hand c.Request.Context() on and never c: gin uses c again for another request while
// goroutines of the database may still look at their context.
type API struct{ Deps }

// New returns the handlers.
func New(d Deps) *API { return &API{d} }

// tokenBody caps, in bytes, the bodies of routes that anybody may call: they hold one token.
var tokenBody = httpx.MaxBody(16 << 10)

// Routes is the whole public surface of the service, beside what every service has.
func (a *API) Routes(r gin.IRouter) {
	v1 := r.Group("/api/v1/auth")
	v1.POST("/token", a.RequireAPIKey, httpx.Wrap(a.issueTokens))
	v1.POST("/refresh", tokenBody, httpx.Wrap(a.refreshTokens))
	v1.POST("/verify", tokenBody, httpx.Wrap(a.verifyToken))

	admin := v1.Group("", a.requireAdminSecret)
	admin.POST("/api-key", httpx.Wrap(a.APIKeys.CreateAPIKey))
	admin.GET("/api-keys", httpx.Wrap(a.APIKeys.ListAPIKeys))
	admin.PATCH("/api-keys/:id", httpx.StrictMembers(), httpx.Wrap(a.APIKeys.UpdateAPIKey))
	admin.DELETE("/api-keys/:id", httpx.Wrap(a.APIKeys.RevokeAPIKey))
	admin.POST("/api-keys/:id/rotate", httpx.StrictMembers(), httpx.Wrap(a.APIKeys.RotateAPIKey))

	r.GET("/.well-known/jwks.json", httpx.Wrap(a.keySet))
}
