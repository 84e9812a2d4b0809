// Package manage answers what administrators ask of API keys, in the form of the public API: what admin forwards, on
// the internal port, and what the holder of the admin secret asks, on the public one. rpc.ActorOf tells who that is;
// which role of admin it takes (owner) is in the routes of services/admin/internal/api.
package manage

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// Deps is what the handlers work with.
type Deps struct {
	Keys        *credential.APIKeys
	Idempotency *idempotency.Store
	// RequireActor admits what admin forwards.
	RequireActor gin.HandlerFunc
}

// Manage is the handlers.
type Manage struct{ Deps }

// New returns the handlers.
func New(d Deps) *Manage { return &Manage{d} }

// Routes adds the routes of the internal port to r. Those of the public port are in package api.
func (m *Manage) Routes(r gin.IRouter) {
	g := r.Group("/api/v1/admin/api-keys", m.RequireActor, httpx.StrictMembers(), httpx.Wrap(httpx.NoIfMatch),
		httpx.OnlyQuery())
	g.POST("", httpx.Wrap(m.CreateAPIKey))
	g.GET("", httpx.Wrap(m.ListAPIKeys))
	g.PATCH("/:id", httpx.Wrap(m.UpdateAPIKey))
	g.DELETE("/:id", httpx.NoMembers(), httpx.Wrap(m.RevokeAPIKey))
	g.POST("/:id/rotate", httpx.Wrap(m.RotateAPIKey))
}
