// Package manage answers what administrators ask of licenses and devices, in the form of the public API. Admin has
// checked who asks and forwards the requests to the internal port; routes.go is all that it finds there.
package manage

import (
	"context"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/block"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/group"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// Deps is what the handlers work with.
type Deps struct {
	Licenses  *licensing.Licenses
	Seats     *licensing.Seats
	Counters  *counter.Counters
	Reads     licensing.Reads
	Blocks    *block.Blocks
	Customers *customer.Customers
	Groups    *group.Groups
	Users     *user.Users
	SignIns   *user.SignIns
	Products  *catalog.Products
	Policies  *catalog.Policies
	Leases    *lease.Leases
	Files     *licensefile.Files
	// WhileLicensed refuses to hand licenses out while this installation is not licensed itself.
	WhileLicensed gin.HandlerFunc
	// Admit is what WhileLicensed asks; nil where this installation need not be licensed.
	Admit         func(context.Context) error
	Delegation    *delegation.Organisations
	DelegatedKeys *delegation.Keys
	Integrations  *integration.Integrations
	Imports       *licenseimport.Imports
	Idempotency   *idempotency.Store
	Log           *slog.Logger
	Clock         clock.Clock
	// RequireActor admits what admin forwards.
	RequireActor gin.HandlerFunc
}

// Manage is the handlers.
type Manage struct{ Deps }

// New returns the handlers.
func New(d Deps) *Manage { return &Manage{d} }

const (
	// maxBulkBody is the largest body of bulk-create, bulk and imports, in bytes: 1000 licenses with some metadata
	// each.
	maxBulkBody = 10 << 20
	// bulkTime is how long a bulk-create, an import or a long deletion may take.
	bulkTime = 20 * time.Second
	// bulkChangeTime is how long a change of many licenses may take.
	bulkChangeTime = 25 * time.Second
)

// Routes adds the routes to r.
func (m *Manage) Routes(r gin.IRouter) {
	g := r.Group("/api/v1/admin", m.RequireActor, httpx.StrictMembers(), wire.Wrap(conditional))
	m.licenseRoutes(g.Group("/licenses"))
	m.deviceRoutes(g.Group("/licenses"))
	m.termRoutes(g.Group("/licenses"))
	m.blockRoutes(g.Group("/blocks"))
	m.customerRoutes(g.Group("/customers"))
	m.groupRoutes(g.Group("/groups"))
	m.userRoutes(g.Group("/users"))
	m.productRoutes(g.Group("/products"))
	m.policyRoutes(g.Group("/policies"))
	m.integrationRoutes(g.Group("/integrations/licensespring"))
	m.delegatedRoutes(g.Group("/delegated"))
	g.POST("/explain", httpx.OnlyQuery(), wire.Wrap(m.explain))
	g.POST("/integrations/spectra/license-file", httpx.OnlyQuery(), m.WhileLicensed, wire.Wrap(m.issueApplianceFile))
}

func (m *Manage) licenseRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	g.POST("", plain, wire.Wrap(m.createLicense))
	g.GET("", wire.Wrap(onlyFilters), wire.Wrap(m.listLicenses))
	g.POST("/bulk-create", httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime), plain, wire.Wrap(m.bulkCreateLicenses))
	g.POST("/bulk", httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkChangeTime), plain, wire.Wrap(m.changeLicenses))
	g.POST("/import", httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime), plain, wire.Wrap(m.importLicenses))
	g.POST("/search", plain, wire.Wrap(m.searchLicenses))
	g.GET("/:license_id", plain, wire.Wrap(m.getLicense))
	g.PATCH("/:license_id", plain, wire.Wrap(m.updateLicense))
	g.DELETE("/:license_id", plain, wire.Wrap(m.deleteLicense))
	g.POST("/:license_id/reveal-key", plain, httpx.NoMembers(), wire.Wrap(m.revealLicenseKey))
	g.POST("/:license_id/rotate-key", plain, wire.Wrap(m.rotateLicenseKey))
	g.POST("/:license_id/renew", plain, wire.Wrap(m.renewLicense))
	g.POST("/:license_id/suspend", plain, wire.Wrap(m.suspendLicense))
	g.POST("/:license_id/reinstate", plain, httpx.NoMembers(), wire.Wrap(m.reinstateLicense))
	g.POST("/:license_id/convert", plain, wire.Wrap(m.convertLicense))
	g.POST("/:license_id/license-file", plain, m.WhileLicensed, wire.Wrap(m.issueLicenseFile))
	g.POST("/:license_id/change-policy", plain, wire.Wrap(m.changePolicy))
	g.GET("/:license_id/events", httpx.OnlyQuery("hours"), wire.Wrap(m.listEvents))
	g.PUT("/:license_id/users/:user_id", plain, httpx.NoMembers(), wire.Wrap(m.assignUser))
	g.DELETE("/:license_id/users/:user_id", plain, httpx.NoMembers(), wire.Wrap(m.unassignUser))
}

func (m *Manage) deviceRoutes(g gin.IRouter) {
	plain, listed := httpx.OnlyQuery(), httpx.OnlyQuery(spanParameters...)
	g.POST("/:license_id/transfer", plain, wire.Wrap(m.transferDevice))
	g.GET("/:license_id/devices", httpx.OnlyQuery(append([]string{"user_id"}, spanParameters...)...),
		wire.Wrap(m.listDevices))
	g.POST("/:license_id/devices/deactivate", plain, wire.Wrap(m.deactivateDevice))
	g.GET("/:license_id/leases", listed, wire.Wrap(m.listLeases))
	g.DELETE("/:license_id/leases/:lease_id", plain, httpx.NoMembers(), wire.Wrap(m.releaseLease))
	g.POST("/:license_id/enrollment-keys", plain, wire.Wrap(m.createEnrollmentKey))
	g.GET("/:license_id/enrollment-keys", listed, wire.Wrap(m.listEnrollmentKeys))
	g.DELETE("/:license_id/enrollment-keys/:enrollment_key_id", plain, httpx.NoMembers(),
		wire.Wrap(m.deleteEnrollmentKey))
	g.GET("/:license_id/devices/:device_id", plain, wire.Wrap(m.getDevice))
	g.PATCH("/:license_id/devices/:device_id", plain, wire.Wrap(m.labelDevice))
	g.POST("/:license_id/reset-transfers", plain, httpx.NoMembers(), wire.Wrap(m.resetTransfers))
}

// termRoutes are of the entitlements and counters of a license.
func (m *Manage) termRoutes(g gin.IRouter) {
	plain, listed := httpx.OnlyQuery(), httpx.OnlyQuery(spanParameters...)
	g.GET("/:license_id/entitlements", listed, wire.Wrap(m.listEntitlements))
	g.PUT("/:license_id/entitlements/:code", plain, wire.Wrap(m.putEntitlement))
	g.DELETE("/:license_id/entitlements/:code", plain, httpx.NoMembers(), wire.Wrap(m.deleteEntitlement))
	g.GET("/:license_id/counters", listed, wire.Wrap(m.listCounters))
	g.PUT("/:license_id/counters/:name", plain, wire.Wrap(m.putCounter))
	g.DELETE("/:license_id/counters/:name", plain, httpx.NoMembers(), wire.Wrap(m.deleteCounter))
	g.POST("/:license_id/counters/:name/adjust", plain, wire.Wrap(m.adjustCounter))
	g.POST("/:license_id/counters/:name/set", plain, wire.Wrap(m.setCounter))
	g.POST("/:license_id/counters/:name/reset", plain, wire.Wrap(m.resetCounter))
	g.GET("/:license_id/counters/:name/history", listed, wire.Wrap(m.counterHistory))
}

func (m *Manage) delegatedRoutes(g gin.IRouter) {
	plain, listed := httpx.OnlyQuery(), httpx.OnlyQuery(spanParameters...)
	g.POST("/organisations", plain, wire.Wrap(m.createOrganisation))
	g.GET("/organisations", listed, wire.Wrap(m.listOrganisations))
	g.GET("/organisations/:organisation", plain, wire.Wrap(m.getOrganisation))
	g.POST("/organisations/:organisation/credits", plain, wire.Wrap(m.addCredit))
	g.POST("/organisations/:organisation/masters", plain, wire.Wrap(m.createMaster))
	g.GET("/organisations/:organisation/masters", listed, wire.Wrap(m.listMasters))
	g.GET("/organisations/:organisation/slaves", listed, wire.Wrap(m.listSlaves))
	g.GET("/organisations/:organisation/charges", listed, wire.Wrap(m.listCharges))
	g.POST("/masters/:master/slaves", httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime), plain,
		wire.Wrap(m.importSlaves))
	g.DELETE("/masters/:master", plain, httpx.NoMembers(), wire.Wrap(m.revokeMaster))
	g.DELETE("/slaves/:slave", plain, httpx.NoMembers(), wire.Wrap(m.revokeSlave))
}

func (m *Manage) policyRoutes(g gin.IRouter) {
	plain, listed := httpx.OnlyQuery(), httpx.OnlyQuery(spanParameters...)
	g.POST("", plain, wire.Wrap(m.createPolicy))
	g.GET("", listed, wire.Wrap(m.listPolicies))
	g.GET("/:code", plain, wire.Wrap(m.getPolicy))
	g.PATCH("/:code", plain, wire.Wrap(m.updatePolicy))
	g.DELETE("/:code", plain, httpx.NoMembers(), wire.Wrap(m.deletePolicy))
	g.POST("/:code/apply", httpx.Timeout(bulkChangeTime), plain, wire.Wrap(m.applyPolicy))
}

func (m *Manage) integrationRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	g.POST("", httpx.Timeout(bulkTime), plain, wire.Wrap(m.createIntegration)) // the first may have to make the RSA key
	g.GET("", httpx.OnlyQuery(spanParameters...), wire.Wrap(m.listIntegrations))
	g.POST("/:integration_id/rotate", plain, wire.Wrap(m.rotateIntegration))
	g.DELETE("/:integration_id", plain, httpx.NoMembers(), wire.Wrap(m.deleteIntegration))
}

func (m *Manage) userRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	listed := httpx.OnlyQuery(append([]string{"product", "customer_id", "email", "license_id"}, spanParameters...)...)
	g.POST("", plain, wire.Wrap(m.createUser))
	g.GET("", listed, wire.Wrap(m.listUsers))
	g.GET("/:user_id", plain, wire.Wrap(m.getUser))
	g.PATCH("/:user_id", plain, wire.Wrap(m.updateUser))
	g.DELETE("/:user_id", httpx.Timeout(bulkTime), plain, httpx.NoMembers(), wire.Wrap(m.deleteUser))
	g.POST("/:user_id/reset-password", plain, wire.Wrap(m.resetPassword))
}

func (m *Manage) groupRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	g.POST("", plain, wire.Wrap(m.createGroup))
	g.GET("", httpx.OnlyQuery(spanParameters...), wire.Wrap(m.listGroups))
	g.GET("/:group_id", plain, wire.Wrap(m.getGroup))
	g.PATCH("/:group_id", plain, wire.Wrap(m.updateGroup))
	g.DELETE("/:group_id", httpx.Timeout(bulkTime), plain, httpx.NoMembers(), wire.Wrap(m.deleteGroup))
}

func (m *Manage) blockRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	g.POST("", plain, wire.Wrap(m.createBlock))
	g.GET("", httpx.OnlyQuery(spanParameters...), wire.Wrap(m.listBlocks))
	g.DELETE("/:block_id", plain, httpx.NoMembers(), wire.Wrap(m.deleteBlock))
}

func (m *Manage) customerRoutes(g gin.IRouter) {
	plain := httpx.OnlyQuery()
	g.GET("", httpx.OnlyQuery(append([]string{"customer_id", "search"}, spanParameters...)...),
		wire.Wrap(m.listCustomers))
	g.GET("/:customer_id", plain, wire.Wrap(m.getCustomer))
	g.PUT("/:customer_id", plain, wire.Wrap(m.putCustomer))
	g.PATCH("/:customer_id", plain, wire.Wrap(m.updateCustomer))
	g.POST("/:customer_id/erase", plain, httpx.NoMembers(), wire.Wrap(m.eraseCustomer))
}

func (m *Manage) productRoutes(g gin.IRouter) {
	plain, listed := httpx.OnlyQuery(), httpx.OnlyQuery(spanParameters...)
	g.POST("", plain, wire.Wrap(m.createProduct))
	g.GET("", listed, wire.Wrap(m.listProducts))
	g.GET("/:code", plain, wire.Wrap(m.getProduct))
	g.PATCH("/:code", plain, wire.Wrap(m.updateProduct))
	g.DELETE("/:code", plain, httpx.NoMembers(), wire.Wrap(m.deleteProduct))
	g.POST("/:code/signing-key/rotate", plain, wire.Wrap(m.rotateSigningKey))
	g.POST("/:code/releases", plain, wire.Wrap(m.createRelease))
	g.GET("/:code/releases", listed, wire.Wrap(m.listReleases))
	g.PATCH("/:code/releases/:version", plain, wire.Wrap(m.updateRelease))
	g.DELETE("/:code/releases/:version", plain, httpx.NoMembers(), wire.Wrap(m.deleteRelease))
}
