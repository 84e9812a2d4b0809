package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

const (
	// maxBulkBody is the largest body of bulk-create: 1000 licenses with some metadata each.
	maxBulkBody = 10 << 20
	// bulkTime is how long a bulk-create may take, and its call of the license service.
	bulkTime = 20 * time.Second
)

// route is one line of the public surface. Its credential is the admin key in X-Admin-API-Key, which must have the role
// or one above it.
type route struct {
	method, path string
	role         adminkey.Role
	handler      httpx.Handler
}

// query are the parameters that a route takes, by method and path; others are refused.
var query = map[string][]string{
	http.MethodGet + " " + licenses: {
		"customer_id", "hardware_id", "license_key", "status", "is_active", "is_test", "created_after", "created_before",
		"expires_after", "expires_before", "page", "per_page",
	},
	http.MethodGet + " " + license + "/devices":  {"page", "per_page"},
	http.MethodGet + " " + license + "/events":   {"hours"},
	http.MethodGet + " " + license + "/usage":    {"days"},
	http.MethodGet + " " + "/api/v1/admin/audit": {"license_id", "actor_id", "action", "after", "before", "page", "per_page"},
}

const (
	licenses   = "/api/v1/admin/licenses"
	bulkCreate = licenses + "/bulk-create" // no license id
	search     = licenses + "/search"      // nor this
	license    = licenses + "/:license_id"
	keys       = "/api/v1/admin/keys"
	apiKeys    = "/api/v1/admin/api-keys"
)

// routes is the whole public surface of the service, beside what every service has.
func (a *API) routes() []route {
	return []route{
		{http.MethodPost, licenses, adminkey.Operator, a.createLicense},
		{http.MethodGet, licenses, adminkey.Viewer, a.listLicenses},
		{http.MethodPost, bulkCreate, adminkey.Operator, large(a.bulkCreateLicenses)},
		{http.MethodPost, search, adminkey.Viewer, a.searchLicenses},
		{http.MethodGet, license, adminkey.Viewer, a.getLicense},
		{http.MethodPatch, license, adminkey.Operator, a.updateLicense},
		{http.MethodDelete, license, adminkey.Operator, a.deleteLicense},
		{http.MethodPost, license + "/reveal-key", adminkey.Operator, a.revealLicenseKey},
		{http.MethodPost, license + "/transfer", adminkey.Operator, a.transferDevice},
		{http.MethodGet, license + "/devices", adminkey.Viewer, a.listDevices},
		{http.MethodPost, license + "/devices/deactivate", adminkey.Operator, a.deactivateDevice},
		{http.MethodGet, license + "/events", adminkey.Viewer, a.listEvents},
		{http.MethodGet, license + "/usage", adminkey.Viewer, a.licenseUsage},
		{http.MethodGet, "/api/v1/admin/statistics", adminkey.Viewer, a.statistics},
		{http.MethodGet, "/api/v1/admin/audit", adminkey.Viewer, a.searchAudit},
		{http.MethodPost, keys, adminkey.Owner, a.createKey},
		{http.MethodGet, keys, adminkey.Owner, a.listKeys},
		{http.MethodDelete, keys + "/:key_id", adminkey.Owner, a.deleteKey},
		{http.MethodPost, apiKeys, adminkey.Owner, a.createAPIKey},
		{http.MethodGet, apiKeys, adminkey.Owner, a.listAPIKeys},
		{http.MethodPatch, apiKeys + "/:key_id", adminkey.Owner, a.updateAPIKey},
		{http.MethodDelete, apiKeys + "/:key_id", adminkey.Owner, a.revokeAPIKey},
		{http.MethodPost, apiKeys + "/:key_id/rotate", adminkey.Owner, a.rotateAPIKey},
	}
}

// Register adds the routes to an engine.
func (a *API) Register(e *gin.Engine) {
	e.Use(httpx.OnlyMethods(bulkCreate, http.MethodPost), httpx.OnlyMethods(search, http.MethodPost))
	for _, r := range a.routes() {
		e.Handle(r.method, r.path, a.require(r.role), httpx.Wrap(known(query[r.method+" "+r.path], r.handler)))
	}
}

// known refuses query parameters other than those named.
func known(names []string, h httpx.Handler) httpx.Handler {
	return func(c *gin.Context) error {
		if err := httpx.KnownQuery(c, names...); err != nil {
			return err
		}
		return h(c)
	}
}

// large lets a handler read larger bodies than the rest, and take longer.
func large(h httpx.Handler) httpx.Handler {
	body, timeout := httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime)
	return func(c *gin.Context) error {
		body(c)
		timeout(c)
		return h(c)
	}
}
