package license

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/outbound"
	"github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/peers"
	"github.com/latchkey-dev/latchkey/services/license/internal/rpc"
)

// Appliance is the settings of an installation that is licensed itself, by another Latchkey. Its rules are in
// internal/appliance.
type Appliance struct {
	Edge           *bool         `key:"edge" help:"true: this installation is an appliance, which serves licenses only while it is licensed itself; false: it is none; unset: in the suite in one process it is one once a license was put on it, elsewhere it is none"`
	EdgeURL        string        `key:"edge_url" url:"https:// http://" help:"the upstream of an appliance where configure/cloud names none"`
	EdgeRoots      string        `key:"edge_roots" help:"root keys of the issuers whose license files, and upstreams, an appliance accepts: public_key_pem of their /api/v1/license/keys, one after the other; \\n may stand for line breaks; unset: no files with edge, else those of this installation, and any upstream"`
	EdgeProduct    string        `key:"edge_product" help:"code of the only product whose licenses an appliance accepts; unset: any"`
	EdgeCheckEvery time.Duration `key:"edge_check_every" default:"60s" min:"1s" max:"5m" help:"how often an appliance asks its upstream whether it is still licensed"`

	EdgePrivateUpstream bool `key:"edge_private_upstream" default:"false" help:"lets an appliance call an upstream, and a proxy on the way, at a private address or on this computer, there by http:// too; without it only public addresses by https://"`

	// Embedded says that the suite runs in one process.
	Embedded bool
}

// edgeMode says what the license of this installation itself matters for.
type edgeMode int

const (
	// edgeOff: for nothing.
	edgeOff edgeMode = iota
	// edgeOptional: once there is one, licenses are served while it holds.
	edgeOptional
	// edgeRequired: licenses are served while it holds.
	edgeRequired
)

func (c *Config) edge() edgeMode {
	switch {
	case c.Edge != nil && *c.Edge:
		return edgeRequired
	case c.Edge == nil && c.Embedded && c.names(spectraAnalyze):
		return edgeOptional
	}
	return edgeOff
}

func (c *Config) checkEdge() error {
	switch {
	case c.edge() == edgeRequired && !c.names(spectraAnalyze):
		return config.Problemf(c, &c.Dialects,
			"must have %s, or be empty: nobody could license this installation, which "+
				"LATCHKEY_EDGE makes an appliance", spectraAnalyze)
	case c.edge() != edgeOff:
		_, err := c.roots()
		return errors.Join(err, c.checkEdgeProduct(), c.checkUpstream())
	}
	if slices.Contains(c.Dialects, spectraAnalyze) {
		return config.Problemf(c, &c.Dialects, "must not have %s where LATCHKEY_EDGE is not true", spectraAnalyze)
	}
	const unused = "has no effect where LATCHKEY_EDGE is not true; leave it out"
	var problems []error
	for _, setting := range []*string{&c.EdgeURL, &c.EdgeRoots, &c.EdgeProduct} {
		if *setting != "" {
			problems = append(problems, config.Problemf(c, setting, unused))
		}
	}
	if c.EdgePrivateUpstream {
		problems = append(problems, config.Problemf(c, &c.EdgePrivateUpstream, unused))
	}
	return errors.Join(problems...)
}

func (c *Config) checkUpstream() error {
	if c.EdgeURL == "" {
		return nil
	}
	if err := c.upstreams().CheckURL(c.EdgeURL); err != nil {
		return config.Problemf(c, &c.EdgeURL, "is not an address that may be called: %v", err)
	}
	return nil
}

// upstreams are those that an owner may enter.
func (c *Config) upstreams() outbound.Policy { return outbound.Policy{Private: c.EdgePrivateUpstream} }

func (c *Config) checkEdgeProduct() error {
	if c.EdgeProduct == "" || catalog.IsCode(c.EdgeProduct) {
		return nil
	}
	return config.Problemf(c, &c.EdgeProduct, "must be the code of a product")
}

// roots are those that EdgeRoots names.
func (c *Config) roots() (roots []ed25519.PublicKey, err error) {
	rest := []byte(strings.ReplaceAll(c.EdgeRoots, `\n`, "\n"))
	for len(strings.TrimSpace(string(rest))) > 0 {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil, config.Problemf(c, &c.EdgeRoots, "must be public keys in PEM, one after the other")
		}
		root, err := licensefile.ParsePublicPEM(pem.EncodeToMemory(block))
		if err != nil {
			return nil, config.Problemf(c, &c.EdgeRoots, "must be Ed25519 public keys in PEM, one after the other")
		}
		roots, rest = append(roots, root), after
	}
	return roots, nil
}

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

func (s *Service) rpcDeps() rpc.Deps {
	return rpc.Deps{Seats: s.seats, Catalog: s.store, Clock: s.Clock, Admit: s.admit()}
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
				s.Log.WarnContext(ctx, "the license of this installation has another status",
					"status", status, "before", last)
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
