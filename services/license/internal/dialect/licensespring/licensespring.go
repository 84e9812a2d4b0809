// Package licensespring speaks the LicenseSpring License API v4 (docs/dialects/licensespring.md): applications that
// were built for it work with Latchkey once they have its address, keys of an integration, and the public key that
// checks our answers. Their "activation" is the seat of a device, their "consumption" a counter, their "floating slot"
// a lease, their "product feature" an entitlement.
package licensespring

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/trial"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// Path is what the paths of all routes begin with.
const Path = "/api/v4"

// Deps is what the handlers work with.
type Deps struct {
	Seats    *licensing.Seats
	Counters *counter.Counters
	Leases   *lease.Leases
	// Licenses reads what is not asked often enough to be kept in memory.
	Licenses  licensing.Reads
	SignIns   *user.SignIns
	Users     user.Store
	Products  catalog.ProductStore
	Customers customer.Store
	Trials    *trial.Trials
	Numbers   integration.NumberStore
	Signers   integration.Signers
	Responses *integration.ResponseKeys
	Offline   integration.OfflineStore
	// Attempts bounds the refused signatures that one client address may send.
	Attempts *guard.Attempts
	// Limiter counts the calls of integrations.
	Limiter ratelimit.Limiter
	Clock   clock.Clock
}

// Dialect is the handlers.
type Dialect struct{ Deps }

// New returns the handlers.
func New(d Deps) *Dialect { return &Dialect{d} }

// maxBody caps the bodies of all calls, in bytes: variables of a device are the most of them.
const maxBody = 128 << 10

// keyTime is how long the first call may take that needs the key of our answers: making it may take seconds.
const keyTime = 10 * time.Second

// Routes is the whole dialect. Each path is served with a slash at its end, too.
func (d *Dialect) Routes(r gin.IRouter) {
	g := r.Group(Path, httpx.MaxBody(maxBody))
	g.GET("/public_key", httpx.Timeout(keyTime), wrap(d.publicKey)) // for anybody
	g.GET("/oauth_url", wrap(d.oauthURL))
	g.POST(tokenPath, wrap(d.token))
	g.GET("/sso_url", wrap(ssoURL))
	read, write := d.admits(false), d.admits(true)
	g.POST("/activate_license", write, d.device(body, d.activate))
	g.GET("/check_license", read, d.device(query, d.check))
	g.POST("/deactivate_license", write, d.device(body, d.deactivate))
	g.POST("/activate_offline", write, d.offline(offlineActivation, d.activateOffline))
	g.POST("/deactivate_offline", write, d.offline(offlineDeactivation, d.deactivateOffline))
	g.POST("/refresh_offline", write, d.offline(offlineActivation, d.refreshOffline))
	d.bundleRoutes(g, read, write)
	g.POST("/add_consumption", write, d.device(body, d.addConsumption))
	g.POST("/add_feature_consumption", write, d.device(body, d.addFeatureConsumption))
	g.GET("/check_license_feature", read, d.device(query, d.checkFeature))
	g.POST("/floating/borrow", write, d.device(body, d.borrow))
	g.POST("/floating/release", write, d.device(body, d.release))
	g.POST("/floating/feature_borrow", write, d.device(body, d.borrowFeature))
	g.POST("/floating/feature_release", write, d.device(body, d.releaseFeature))
	g.POST("/track_device_variables", write, d.device(body, d.trackVariables))
	g.GET("/get_device_variables", read, d.device(query, d.variables))
	g.GET("/trial_key", write, wrap(d.trialKey))
	g.GET("/device_licenses", read, wrap(d.deviceLicenses))
	g.GET("/customer_license_users", read, wrap(d.customerLicenseUsers))
	g.GET("/user_licenses", read, wrap(d.userLicenses))
	g.POST("/change_password", write, wrap(d.changePassword))
	g.GET("/versions", read, d.device(query, d.versions))
	g.GET("/installation_file", read, d.device(query, d.installationFile))
	g.GET("/product_details", read, wrap(d.productDetails))
	g.GET("/products", read, wrap(d.listProducts))
}
