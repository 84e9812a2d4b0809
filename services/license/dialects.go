package license

import (
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/dialect/delegated"
	"github.com/latchkey-dev/latchkey/services/license/internal/dialect/licensespring"
	"github.com/latchkey-dev/latchkey/services/license/internal/dialect/spectra"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/peers"
	"github.com/latchkey-dev/latchkey/services/license/internal/trial"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// dialectNames are what the setting Dialects calls them.
var dialectNames = []string{licenseSpring, delegatedKeys, spectraAnalyze}

const (
	// licenseSpring is the name of the dialect of package dialect/licensespring.
	licenseSpring = integration.LicenseSpring
	// delegatedKeys is the name of the dialect of package dialect/delegated.
	delegatedKeys = "delegated-keys"
	// spectraAnalyze is the name of the dialect of package dialect/spectra.
	spectraAnalyze = "spectra-analyze"
)

// noDialects is the setting that switches all of them off.
const noDialects = "none"

// dialect is the API of another vendor on the public port: package internal/dialect/<name>.
type dialect struct {
	name string
	// paths are what the paths of all its routes begin with, such as "/api/v4". Below them every error has the form
	// that its clients expect, also that of a guard, a panic or an unknown path.
	paths []string
	// writeError answers in that form.
	writeError httpx.ErrorWriter
	// routes are added to those of the public port.
	routes func(gin.IRouter)
}

// dialects are those that are switched on.
func (s *Service) dialects(cfg Config, signIns *user.SignIns) []dialect {
	all := []dialect{
		{
			name:       licenseSpring,
			paths:      []string{licensespring.Path},
			writeError: licensespring.WriteError,
			routes:     s.licenseSpring(cfg, signIns).Routes,
		},
		{
			name:       delegatedKeys,
			paths:      delegated.Paths,
			writeError: delegated.WriteError,
			routes:     s.delegatedKeys(cfg).Routes,
		},
		{
			name:       spectraAnalyze,
			paths:      spectra.Paths,
			writeError: spectra.WriteError,
			routes:     s.spectraAnalyze().Routes,
		},
	}
	return slices.DeleteFunc(all, func(d dialect) bool { return !cfg.serves(d.name) })
}

func (s *Service) licenseSpring(cfg Config, signIns *user.SignIns) *licensespring.Dialect {
	trials := &trial.Trials{
		Store:     s.store,
		Licenses:  s.licenses,
		Customers: &customer.Customers{Store: s.store, Clock: s.Clock},
		Users:     &user.Users{Store: s.store, Licenses: s.licenses, Passwords: signIns.Passwords, Clock: s.Clock},
		Limiter:   app.NewSharedLimiter(s.Core),
	}
	return licensespring.New(licensespring.Deps{
		Seats:     s.seats,
		Counters:  s.counters,
		Leases:    s.leases,
		Licenses:  s.store,
		SignIns:   signIns,
		Users:     s.store,
		Products:  s.store,
		Customers: s.store,
		Trials:    trials,
		Numbers:   s.store,
		Signers:   s.signers,
		Responses: s.responses,
		Offline:   s.store,
		Attempts:  app.NewClientAttempts(s.Core),
		Limiter:   app.NewClientLimiter(s.Core, cfg.Clients),
		Clock:     s.Clock,
	})
}

func (s *Service) delegation() *delegation.Keys {
	return &delegation.Keys{
		Store: s.store, Licenses: s.store, Seats: s.seats, Tokens: s.fileKeys, Clock: s.Clock,
	}
}

func (s *Service) delegatedKeys(cfg Config) *delegated.Dialect {
	return delegated.New(delegated.Deps{
		Keys:        s.delegation(),
		Idempotency: s.Idempotency,
		Attempts:    app.NewClientAttempts(s.Core),
		Limiter:     app.NewClientLimiter(s.Core, cfg.Clients),
	})
}

func (s *Service) spectraAnalyze() *spectra.Dialect {
	return spectra.New(spectra.Deps{
		Appliance:   s.appliance,
		Admins:      peers.NewAdmins(s.Core),
		AdminPrefix: peers.AdminPrefix,
		Attempts:    app.NewAdminKeyAttempts(s.Core),
		Clock:       s.Clock,
	})
}

// serves reports whether a dialect is switched on. That of appliances is where edge mode is.
func (c *Config) serves(name string) bool {
	return c.names(name) && (name != spectraAnalyze || c.edge() != edgeOff)
}

// names reports whether the setting has a dialect switched on.
func (c *Config) names(name string) bool {
	return len(c.Dialects) == 0 || slices.Contains(c.Dialects, name)
}

func (c *Config) checkDialects() error {
	if slices.Equal(c.Dialects, []string{noDialects}) {
		return nil
	}
	if slices.Contains(c.Dialects, noDialects) {
		return config.Problemf(c, &c.Dialects, "must have %q once and nothing else", noDialects)
	}
	for _, name := range c.Dialects {
		if !slices.Contains(dialectNames, name) {
			return config.Problemf(c, &c.Dialects, "must be %q alone, or some of %s; %q is neither",
				noDialects, strings.Join(dialectNames, ", "), name)
		}
	}
	return nil
}

// errorWriters are those of the dialects, by path.
func errorWriters(dialects []dialect) map[string]httpx.ErrorWriter {
	writers := map[string]httpx.ErrorWriter{}
	for _, d := range dialects {
		for _, path := range d.paths {
			writers[path] = d.writeError
		}
	}
	return writers
}
