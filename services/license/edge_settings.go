package license

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/outbound"
	"github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// Appliance is the settings of an installation that is licensed itself, by another Latchkey. Its rules are in
// internal/appliance.
type Appliance struct {
	Edge           *bool         `key:"edge" help:"true: this installation is an appliance, which serves licenses only while it is licensed itself; false: it is not; unset: the suite in one process becomes one once a license is installed on it, other programs do not"`
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

// peers are the services that the service asks: of an appliance the owner shows an admin key, which admin knows.
func (c *Config) peers() []string {
	if c.edge() == edgeOff {
		return []string{"auth"}
	}
	return []string{"auth", "admin"}
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
