package app

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// Core is what all services are built around: Deps, an identity among the peer services, the event log, the answers
// kept for Idempotency-Keys, the two engines, and the health that they report. A service embeds one and adds Run.
type Core struct {
	*Health
	Deps
	Name   string
	Outbox *outbox.Outbox
	// Idempotency is nil where the service has no master keys, which seal the answers.
	Idempotency *idempotency.Store
	// Link reports whether the events that Watch is for arrive; Link.From, whether those of one service are published.
	Link *bus.Link

	base             Base
	identity         rpc.Identity
	peers            rpc.Peers
	limiters         []ratelimit.Limiter // for RunJobs to prune
	public, internal *gin.Engine
}

// NewCore builds what all services have in common; keys is nil for a service without master keys. It calls nobody and
// starts nothing. An error names the setting that is wrong.
func NewCore(service string, base Base, deps Deps, keys *masterkey.Register) (*Core, error) {
	id, peers, err := base.Internal(service)
	if err != nil {
		return nil, err
	}
	deps.Bus = traceBus(deps.Traces, observeBus(deps))
	c := &Core{
		Health:   NewHealth(deps, keys),
		Deps:     deps,
		Name:     service,
		Outbox:   outbox.New(deps.DB, Source(service)),
		Link:     bus.NewLink(),
		base:     base,
		identity: id,
		peers:    peers,
	}
	if keys != nil {
		c.Idempotency = idempotency.New(deps.DB, keys.Ring, deps.Clock)
	}
	c.observe()
	return c, nil
}

// Source names a service in the events that it publishes.
func Source(service string) string { return "latchkey/" + service }

// Handler answers the public API.
func (c *Core) Handler() http.Handler { return c.public }

// InternalHandler answers peer services.
func (c *Core) InternalHandler() http.Handler { return c.internal }

// Public says what is particular about the public API of a service.
type Public struct {
	// OpenAPI is the YAML document of the API.
	OpenAPI []byte
	// CORSOrigins are the origins whose pages may call it from a browser.
	CORSOrigins []string
	// StrictMembers refuses unknown members of requests everywhere.
	StrictMembers bool
	// Errors are the writers of errors below paths whose clients expect their own form: see httpx.Options.
	Errors map[string]httpx.ErrorWriter
}

// PublicEngine makes the engine that Handler returns, with the routes that all services have. The service adds its own.
func (c *Core) PublicEngine(p Public) *gin.Engine {
	options := c.base.HTTP(c.Name, c.Deps)
	options.CORSOrigins, options.StrictMembers, options.Errors = p.CORSOrigins, p.StrictMembers, p.Errors
	c.public = httpx.NewEngine(options)
	c.maintain(c.public)
	meta := httpx.MetaOptions{Service: c.Name, OpenAPI: p.OpenAPI, NoDocs: c.base.DocsDisabled, Ready: c.Ready}
	if c.base.PublicMetrics() {
		meta.Metrics = c.Metrics.Handler()
	}
	httpx.Meta(c.public, meta)
	return c.public
}

// InternalEngine makes the engine that InternalHandler returns, with the routes that all services have. The service
// adds its own.
func (c *Core) InternalEngine() *gin.Engine {
	options := c.base.HTTP(c.Name, c.Deps)
	options.FollowTraces = true
	c.internal = httpx.NewEngine(options)
	c.maintain(c.internal)
	httpx.Meta(c.internal, httpx.MetaOptions{Service: c.Name, Ready: c.Ready, Metrics: c.Metrics.Handler()})
	c.internal.GET(rpc.PeerPath, rpc.Meet(c.Name, c.peers))
	return c.internal
}

// Mount adds a generated handler to the internal engine: what its constructor, called with ForPeers, returns.
func (c *Core) Mount(path string, h http.Handler) { httpx.Mount(c.internal, path, h) }
