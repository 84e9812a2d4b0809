package license

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
	"github.com/latchkey-dev/latchkey/services/license/internal/peers"
)

// newAppliance is nil where edge mode is off.
func (s *Service) newAppliance(cfg Config) *appliance.Appliance {
	if cfg.edge() == edgeOff {
		return nil
	}
	return appliance.New(appliance.Deps{
		Store: s.store,
		Trust: appliance.Trust{
			Roots: s.trustedRoots(&cfg), Own: cfg.edge() == edgeOptional && cfg.EdgeRoots == "",
			Product: cfg.EdgeProduct,
		},
		Upstream:    peers.Upstream{Policy: cfg.upstreams(), Product: cfg.EdgeProduct},
		UpstreamURL: cfg.EdgeURL,
		CheckEvery:  cfg.EdgeCheckEvery,
		Required:    cfg.edge() == edgeRequired,
		Clock:       s.Clock,
	})
}

// trustedRoots are those of the setting, or that of this installation, so that files can be tried out.
func (s *Service) trustedRoots(cfg *Config) func(context.Context) ([]ed25519.PublicKey, error) {
	roots, _ := cfg.roots() // what is wrong with them, checkEdge has found
	if len(roots) > 0 || cfg.edge() == edgeRequired {
		return func(context.Context) ([]ed25519.PublicKey, error) { return roots, nil }
	}
	own := cache.New[struct{}, []ed25519.PublicKey](cache.Options{Capacity: 1, TTL: time.Hour}, s.Clock)
	return func(ctx context.Context) ([]ed25519.PublicKey, error) {
		roots, _, err := own.Fetch(ctx, struct{}{}, func(ctx context.Context) ([]ed25519.PublicKey, error) {
			root, err := s.fileKeys.Root(ctx)
			if err != nil {
				return nil, err
			}
			return []ed25519.PublicKey{root.Public}, nil
		})
		return roots, err
	}
}

// whileLicensed has routes refuse while this installation is not licensed itself, before they look at a credential.
func (s *Service) whileLicensed(r gin.IRouter) gin.IRouter {
	if s.appliance == nil {
		return r
	}
	return r.Group("", s.requireLicense)
}

// always are the routes that serve no license: they show public keys, tell what was revoked, and give seats and slots
// back.
var always = map[string]bool{
	"GET /api/v1/license/keys":                true,
	"GET /api/v1/license/leases/keys":         true,
	"GET /api/v1/license/revocations":         true,
	"POST /api/v1/license/deactivate":         true,
	"DELETE /api/v1/license/leases/:lease_id": true,
	"GET /api/v4/public_key":                  true,
	"POST /api/v4/deactivate_license":         true,
	"POST /api/v4/deactivate_offline":         true,
	"POST /api/v4/deactivate_bundle":          true,
	"POST /api/v4/deactivate_bundle_offline":  true,
	"GET /api/v4/oauth_url":                   true,
	"POST /api/v4/oauth/token":                true,
	"POST /api/v4/floating/release":           true,
	"POST /api/v4/floating/feature_release":   true,
}

// requireLicense refuses what serves a license while this installation is not licensed itself.
func (s *Service) requireLicense(c *gin.Context) {
	if s.appliance == nil {
		return
	}
	if err := s.appliance.Admit(c.Request.Context()); err != nil && !always[c.Request.Method+" "+c.FullPath()] {
		httpx.WriteError(c, err)
	}
}

// admit refuses to serve licenses while this installation is not licensed itself; nil where edge mode is off.
func (s *Service) admit() func(context.Context) error {
	if s.appliance == nil {
		return nil
	}
	return s.appliance.Admit
}

// edgeJobs keep up what is known of the license of this installation itself. Reading it does not wait for the upstream.
func (s *Service) edgeJobs() []app.Job {
	if s.appliance == nil {
		return nil
	}
	if s.appliance.Required && s.appliance.Trust.Product == "" {
		s.Log.Warn("this installation accepts licenses of any product of its issuers; set LATCHKEY_EDGE_PRODUCT")
	}
	return []app.Job{
		s.EveryReadOnly(time.Second, "read the license of this installation", s.followLicense()),
		s.Every(time.Second, "ask the upstream of this installation", s.appliance.Check),
		s.Every(time.Hour, "warn of the end of the license of this installation", s.warnOfEnd),
	}
}

// followLicense reads the license of this installation, shows its status, and logs when that is another one.
func (s *Service) followLicense() func(context.Context) error {
	var last appliance.Status
	return func(ctx context.Context) error {
		err := s.appliance.Refresh(ctx)
		status := s.appliance.Status()
		s.showStatus(status)
		if status != last {
			if last != "" {
				s.Log.WarnContext(ctx, "the status of the license of this installation changed",
					"status", status, "previous", last)
			}
			last = status
		}
		return err
	}
}

// warnBefore is from when on operators are warned of the end.
const warnBefore = 14 * 24 * time.Hour

// warnOfEnd tells the operator of a license that will not be there any more, or is not.
func (s *Service) warnOfEnd(ctx context.Context) error {
	i, status, err := s.appliance.Current(ctx)
	if err != nil || i.LicensedAt.IsZero() {
		return err
	}
	end := i.View(s.Clock.Now()).ExpiresAt
	if status != appliance.Valid || !end.IsZero() && s.Clock.Now().Add(warnBefore).After(end) {
		s.Log.WarnContext(ctx,
			"the license of this installation has ended or ends soon; without it no licenses are served",
			"status", status, "expires_at", end)
	}
	return nil
}
