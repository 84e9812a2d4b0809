// Package admin is the management service: the front desk where licenses are made, found and changed, with keys and roles for
// those who may, and the audit log of what they did. The licenses themselves belong to the license service, the figures to
// analytics; admin asks them.
package admin

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/api"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "admin"

// source names the service in the events that it publishes.
const source = "latchkey/" + Name

// failuresPerMinute is how many refused admin keys one client address may send, where that is limited.
const failuresPerMinute = 10

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{outbox.Migrations, idempotency.Migrations, store.Migrations, masterkey.Migrations}

// Queues is what the service consumes.
var Queues = []bus.Queue{auditQueue()}

// auditQueue gathers the audit entries of all services.
func auditQueue() bus.Queue { return bus.QueueOf(queues.Audit()) }

// Service is the running service.
type Service struct {
	*app.Health
	cfg      Config
	deps     app.Deps
	store    *store.Store
	outbox   *outbox.Outbox
	answers  *idempotency.Store
	keys     *adminkey.Keys
	public   http.Handler
	internal http.Handler
	// configured is closed once the owner key of the configuration is in force.
	configured chan struct{}
}

// MasterKeys is the register of what the service keeps under master keys.
func MasterKeys(cfg Config, deps app.Deps) (*masterkey.Register, error) {
	ring, err := cfg.Keyring(Name)
	if err != nil {
		return nil, err
	}
	return masterkey.New(deps.DB, ring, idempotency.Rows(deps.DB, ring, deps.Clock)), nil
}

// New makes the service; it touches neither the database nor the bus.
func New(cfg Config, deps app.Deps) (*Service, error) {
	keys, err := MasterKeys(cfg, deps)
	if err != nil {
		return nil, err
	}
	id, _, err := cfg.Internal(Name) // nobody asks admin anything
	if err != nil {
		return nil, err
	}
	box := outbox.New(deps.DB, source)
	st := store.New(deps.DB, box)
	s := &Service{
		Health:  app.NewHealth(deps, keys),
		cfg:     cfg,
		deps:    deps,
		store:   st,
		outbox:  box,
		answers: idempotency.New(deps.DB, keys.Ring, deps.Clock),
		keys:    adminkey.New(st, deps.Clock),

		configured: make(chan struct{}),
	}
	deps.Observe(s.outbox.Pending, nil)
	deps.ObserveDeadLetters(auditQueue().Name)
	s.public = s.publicRoutes(id)
	s.internal = s.internalRoutes()
	return s, nil
}

// Handler is the public API.
func (s *Service) Handler() http.Handler { return s.public }

// InternalHandler is the internal port: health and metrics. No peer service asks admin anything.
func (s *Service) InternalHandler() http.Handler { return s.internal }

// Run puts the configured owner key in force, relays events, fills the audit log and tidies up, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if err := s.configure(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.outbox.Relay(ctx, s.deps.Bus, s.deps.Log) })
	g.Go(func() error { return s.deps.Bus.Consume(ctx, auditQueue(), s.record) })
	g.Go(func() error { return app.Every(ctx, s.deps.Log, tidyEvery, "tidying up", s.tidy) })
	return g.Wait()
}

// Ready is Health's, but not before the configured owner key is in force: until then its holder would be refused. That takes
// a moment after the start, for which Ready waits.
func (s *Service) Ready(ctx context.Context) httpx.Readiness {
	select {
	case <-s.configured:
		return s.Health.Ready(ctx)
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return httpx.Readiness{Dependencies: map[string]string{"service": "away: the owner key waits for the database"}}
}

func (s *Service) publicRoutes(id rpc.Identity) http.Handler {
	options := s.cfg.HTTP(Name, s.deps)
	options.StrictMembers = true
	e := httpx.NewEngine(options)
	httpx.Meta(e, s.cfg.PublicMeta(Name, openapi.Admin, s.Ready, s.deps))
	api.New(s.handlers(id)).Register(e)
	return e
}

func (s *Service) internalRoutes() http.Handler {
	e := httpx.NewEngine(s.cfg.HTTP(Name, s.deps))
	httpx.Meta(e, httpx.MetaOptions{Service: Name, Ready: s.Ready, Metrics: s.deps.Metrics.Handler()})
	return e
}

// handlers is what the public API works with.
func (s *Service) handlers(id rpc.Identity) api.Deps {
	client := rpc.HTTPClient(s.deps.HTTP)
	return api.Deps{
		Keys:        s.keys,
		Audit:       s.store,
		Auth:        rpc.NewGateway(id, "auth", s.cfg.AuthURL, client),
		Licenses:    rpc.NewGateway(id, "license", s.cfg.LicenseURL, client),
		Counts:      licensev1connect.NewLicenseServiceClient(client, s.cfg.LicenseURL, rpc.NewClientOptions(id, "license")...),
		Analytics:   analyticsv1connect.NewAnalyticsServiceClient(client, s.cfg.AnalyticsURL, rpc.NewClientOptions(id, "analytics")...),
		Idempotency: s.answers,
		Clock:       s.deps.Clock,
		Log:         s.deps.Log,
		Attempts:    s.cfg.Attempts(s.deps.Clock, failuresPerMinute),
	}
}
