// Package manage answers what administrators ask of licenses and devices, in the form of the public API. Admin has
// checked who asks and forwards the requests to the internal port; routes.go is all that it finds there.
package manage

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Deps is what the handlers work with.
type Deps struct {
	Licensing   *licensing.Licensing
	Idempotency *idempotency.Store
	Clock       clock.Clock
	// RequireActor admits what admin forwards.
	RequireActor gin.HandlerFunc
}

// Manage is the handlers.
type Manage struct{ Deps }

// New returns the handlers.
func New(d Deps) *Manage { return &Manage{d} }

const (
	// maxBulkBody is the largest body of bulk-create, in bytes: 1000 licenses with some metadata each.
	maxBulkBody = 10 << 20
	// bulkTime is how long a bulk-create may take.
	bulkTime = 20 * time.Second
)

// Routes adds the routes to r.
func (m *Manage) Routes(r gin.IRouter) {
	g := r.Group("/api/v1/admin/licenses", m.RequireActor, httpx.StrictMembers())
	plain := httpx.OnlyQuery()
	paged := httpx.OnlyQuery("page", "per_page")
	g.POST("", plain, httpx.Wrap(m.createLicense))
	g.GET("", httpx.OnlyQuery(filters...), httpx.Wrap(m.listLicenses))
	g.POST("/bulk-create", httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime), plain, httpx.Wrap(m.bulkCreateLicenses))
	g.POST("/search", plain, httpx.Wrap(m.searchLicenses))
	g.GET("/:license_id", plain, httpx.Wrap(m.getLicense))
	g.PATCH("/:license_id", plain, httpx.Wrap(m.updateLicense))
	g.DELETE("/:license_id", plain, httpx.Wrap(m.deleteLicense))
	g.POST("/:license_id/reveal-key", plain, httpx.NoMembers(), httpx.Wrap(m.revealLicenseKey))
	g.POST("/:license_id/transfer", plain, httpx.Wrap(m.transferDevice))
	g.GET("/:license_id/devices", paged, httpx.Wrap(m.listDevices))
	g.POST("/:license_id/devices/deactivate", plain, httpx.Wrap(m.deactivateDevice))
	g.GET("/:license_id/events", httpx.OnlyQuery("hours"), httpx.Wrap(m.listEvents))
}
