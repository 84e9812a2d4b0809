package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

const (
	// maxBulkBody is the largest body about many licenses, in bytes. bulkTime is the time of a bulk-create, and
	// bulkChangeTime that of a change of many licenses. All are the license service's.
	maxBulkBody    = 10 << 20
	bulkTime       = 20 * time.Second
	bulkChangeTime = 25 * time.Second
)

// route is one line of the public surface. Its credential is the admin key in X-Admin-API-Key, which must have the role
// or one above it. Its handler leads to the service that owns the data, or is admin's own.
type route struct {
	method, path string
	role         adminkey.Role
	handler      httpx.Handler
}

const (
	licenses      = "/api/v1/admin/licenses"
	bulkCreate    = licenses + "/bulk-create" // no license id
	bulkChange    = licenses + "/bulk"        // nor this
	search        = licenses + "/search"      // nor this
	imports       = licenses + "/import"      // nor this
	license       = licenses + "/:license_id"
	keys          = "/api/v1/admin/keys"
	blocks        = "/api/v1/admin/blocks"
	licenseSpring = "/api/v1/admin/integrations/licensespring"
	spectra       = "/api/v1/admin/integrations/spectra"
	customers     = "/api/v1/admin/customers"
	customer      = customers + "/:customer_id"
	groups        = "/api/v1/admin/groups"
	users         = "/api/v1/admin/users"
	products      = "/api/v1/admin/products"
	product       = products + "/:code"
	releases      = product + "/releases"
	policies      = "/api/v1/admin/policies"
	policy        = policies + "/:code"
	apiKeys       = "/api/v1/admin/api-keys"

	// Those of delegated keys.
	delegated     = "/api/v1/admin/delegated"
	organisations = delegated + "/organisations"
	organisation  = organisations + "/:organisation"
)

// table is the whole public surface of the service, beside what every service has.
func (a *API) table() []route {
	toLicense, toAuth := forward(a.Licenses), forward(a.Auth)
	return slices.Concat(
		a.licenseRoutes(toLicense), termRoutes(toLicense), deviceRoutes(toLicense), customerRoutes(toLicense),
		catalogRoutes(toLicense), integrationRoutes(toLicense), apiKeyRoutes(toAuth), a.ownRoutes(),
	)
}

// licenseRoutes are of licenses themselves.
func (a *API) licenseRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodPost, licenses, adminkey.Operator, toLicense},
		{http.MethodGet, licenses, adminkey.Viewer, toLicense},
		{http.MethodPost, bulkCreate, adminkey.Operator, large(longer(bulkTime, toLicense))},
		{http.MethodPost, bulkChange, adminkey.Operator, large(longer(bulkChangeTime, toLicense))},
		{http.MethodPost, imports, adminkey.Operator, large(longer(bulkTime, toLicense))},
		{http.MethodPost, search, adminkey.Viewer, toLicense},
		{http.MethodPost, "/api/v1/admin/explain", adminkey.Viewer, toLicense},
		{http.MethodGet, license, adminkey.Viewer, own(a.getLicense)},
		{http.MethodPatch, license, adminkey.Operator, toLicense},
		{http.MethodDelete, license, adminkey.Operator, toLicense},
		{http.MethodPost, license + "/reveal-key", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/rotate-key", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/renew", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/suspend", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/reinstate", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/convert", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/license-file", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/events", adminkey.Viewer, toLicense},
		{http.MethodGet, license + "/usage", adminkey.Viewer, own(a.licenseUsage, "days")},
		{http.MethodGet, license + "/refusals", adminkey.Viewer, own(a.licenseRefusals, "page", "per_page")},
		{http.MethodPost, license + "/change-policy", adminkey.Operator, toLicense},
	}
}

// termRoutes are of the entitlements and counters of a license.
func termRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodGet, license + "/entitlements", adminkey.Viewer, toLicense},
		{http.MethodPut, license + "/entitlements/:code", adminkey.Operator, toLicense},
		{http.MethodDelete, license + "/entitlements/:code", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/counters", adminkey.Viewer, toLicense},
		{http.MethodPut, license + "/counters/:name", adminkey.Operator, toLicense},
		{http.MethodDelete, license + "/counters/:name", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/counters/:name/adjust", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/counters/:name/set", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/counters/:name/reset", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/counters/:name/history", adminkey.Viewer, toLicense},
	}
}

// deviceRoutes are of devices: their seats, leases and enrollment keys, and what blocks them.
func deviceRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodPost, license + "/transfer", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/devices", adminkey.Viewer, toLicense},
		{http.MethodPost, license + "/devices/deactivate", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/leases", adminkey.Viewer, toLicense},
		{http.MethodDelete, license + "/leases/:lease_id", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/enrollment-keys", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/enrollment-keys", adminkey.Viewer, toLicense},
		{http.MethodDelete, license + "/enrollment-keys/:enrollment_key_id", adminkey.Operator, toLicense},
		{http.MethodGet, license + "/devices/:device_id", adminkey.Viewer, toLicense},
		{http.MethodPatch, license + "/devices/:device_id", adminkey.Operator, toLicense},
		{http.MethodPost, license + "/reset-transfers", adminkey.Operator, toLicense},
		{http.MethodPost, blocks, adminkey.Operator, toLicense},
		{http.MethodGet, blocks, adminkey.Viewer, toLicense},
		{http.MethodDelete, blocks + "/:block_id", adminkey.Operator, toLicense},
	}
}

// customerRoutes are of who has licenses: customers, their users, and groups.
func customerRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodGet, customers, adminkey.Viewer, toLicense},
		{http.MethodGet, customer, adminkey.Viewer, toLicense},
		{http.MethodPut, customer, adminkey.Operator, toLicense},
		{http.MethodPatch, customer, adminkey.Operator, toLicense},
		{http.MethodPost, customer + "/erase", adminkey.Owner, toLicense},
		{http.MethodPost, users, adminkey.Operator, toLicense},
		{http.MethodGet, users, adminkey.Viewer, toLicense},
		{http.MethodGet, users + "/:user_id", adminkey.Viewer, toLicense},
		{http.MethodPatch, users + "/:user_id", adminkey.Operator, toLicense},
		{http.MethodDelete, users + "/:user_id", adminkey.Operator, toLicense},
		{http.MethodPost, users + "/:user_id/reset-password", adminkey.Operator, toLicense},
		{http.MethodPut, license + "/users/:user_id", adminkey.Operator, toLicense},
		{http.MethodDelete, license + "/users/:user_id", adminkey.Operator, toLicense},
		{http.MethodPost, groups, adminkey.Operator, toLicense},
		{http.MethodGet, groups, adminkey.Viewer, toLicense},
		{http.MethodGet, groups + "/:group_id", adminkey.Viewer, toLicense},
		{http.MethodPatch, groups + "/:group_id", adminkey.Operator, toLicense},
		{http.MethodDelete, groups + "/:group_id", adminkey.Operator, toLicense},
	}
}

// catalogRoutes are of products, their releases, and policies.
func catalogRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodPost, products, adminkey.Operator, toLicense},
		{http.MethodGet, products, adminkey.Viewer, toLicense},
		{http.MethodGet, product, adminkey.Viewer, toLicense},
		{http.MethodPatch, product, adminkey.Operator, toLicense},
		{http.MethodDelete, product, adminkey.Operator, toLicense},
		{http.MethodPost, product + "/signing-key/rotate", adminkey.Owner, toLicense},
		{http.MethodPost, policies, adminkey.Operator, toLicense},
		{http.MethodGet, policies, adminkey.Viewer, toLicense},
		{http.MethodGet, policy, adminkey.Viewer, toLicense},
		{http.MethodPatch, policy, adminkey.Operator, toLicense},
		{http.MethodDelete, policy, adminkey.Operator, toLicense},
		{http.MethodPost, policy + "/apply", adminkey.Operator, longer(bulkChangeTime, toLicense)},
		{http.MethodPost, releases, adminkey.Operator, toLicense},
		{http.MethodGet, releases, adminkey.Viewer, toLicense},
		{http.MethodPatch, releases + "/:version", adminkey.Operator, toLicense},
		{http.MethodDelete, releases + "/:version", adminkey.Operator, toLicense},
	}
}

// integrationRoutes are of what the protocols of other vendors need.
func integrationRoutes(toLicense httpx.Handler) []route {
	return []route{
		{http.MethodPost, licenseSpring, adminkey.Owner, longer(bulkTime, toLicense)},
		{http.MethodGet, licenseSpring, adminkey.Owner, toLicense},
		{http.MethodPost, licenseSpring + "/:integration_id/rotate", adminkey.Owner, toLicense},
		{http.MethodDelete, licenseSpring + "/:integration_id", adminkey.Owner, toLicense},
		{http.MethodPost, spectra + "/license-file", adminkey.Operator, toLicense},
		{http.MethodPost, organisations, adminkey.Owner, toLicense},
		{http.MethodGet, organisations, adminkey.Owner, toLicense},
		{http.MethodGet, organisation, adminkey.Owner, toLicense},
		{http.MethodPost, organisation + "/credits", adminkey.Owner, toLicense},
		{http.MethodPost, organisation + "/masters", adminkey.Owner, toLicense},
		{http.MethodGet, organisation + "/masters", adminkey.Owner, toLicense},
		{http.MethodGet, organisation + "/slaves", adminkey.Owner, toLicense},
		{http.MethodGet, organisation + "/charges", adminkey.Owner, toLicense},
		{http.MethodPost, delegated + "/masters/:master/slaves", adminkey.Owner, large(longer(bulkTime, toLicense))},
		{http.MethodDelete, delegated + "/masters/:master", adminkey.Owner, toLicense},
		{http.MethodDelete, delegated + "/slaves/:slave", adminkey.Owner, toLicense},
	}
}

func apiKeyRoutes(toAuth httpx.Handler) []route {
	return []route{
		{http.MethodPost, apiKeys, adminkey.Owner, toAuth},
		{http.MethodGet, apiKeys, adminkey.Owner, toAuth},
		{http.MethodPatch, apiKeys + "/:key_id", adminkey.Owner, toAuth},
		{http.MethodDelete, apiKeys + "/:key_id", adminkey.Owner, toAuth},
		{http.MethodPost, apiKeys + "/:key_id/rotate", adminkey.Owner, toAuth},
	}
}

// ownRoutes are of what admin owns, or joins from several services.
func (a *API) ownRoutes() []route {
	return []route{
		{http.MethodGet, "/api/v1/admin/statistics", adminkey.Viewer, longer(statisticsTime, own(a.statistics))},
		{http.MethodGet, "/api/v1/admin/audit", adminkey.Viewer, own(a.searchAudit, auditFilters...)},
		{http.MethodPost, keys, adminkey.Owner, own(a.createKey)},
		{http.MethodGet, keys, adminkey.Owner, own(a.listKeys)},
		{http.MethodDelete, keys + "/:key_id", adminkey.Owner, own(a.deleteKey)},
	}
}

// Routes adds the routes of table to r.
func (a *API) Routes(r gin.IRouter) {
	for _, line := range a.table() {
		r.Handle(line.method, line.path, a.require(line.role), httpx.Wrap(line.handler))
	}
}
