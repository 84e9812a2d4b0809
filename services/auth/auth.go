// Package auth is the auth service: it makes API keys and tokens and tells which of them still hold. The service is a value: it
// listens nowhere, and several may run in one process.
package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/pkg/token"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/auth/internal/api"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/manage"
	authrpc "github.com/latchkey-dev/latchkey/services/auth/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "auth"

const source = "latchkey/" + Name

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{store.Migrations, outbox.Migrations, telemetry.Migrations, idempotency.Migrations, ratelimit.Migrations, masterkey.Migrations}

const (
	pruneEvery = time.Hour
	// endedKept is how long tokens and secrets stay in the database after their end, for those who look into a misuse.
	endedKept = 7 * 24 * time.Hour
)

// How many refused credentials one client address may send a minute, where that is limited: of clients, and of the administrator.
const (
	clientFailures = 60
	adminFailures  = 10
)

// Service is the auth service.
type Service struct {
	*app.Health
	deps             app.Deps
	rules            *credential.Service
	store            *store.Store
	outbox           *outbox.Outbox
	telemetry        *telemetry.Recorder
	idempotency      *idempotency.Store
	guard            *apikey.Guard
	limiter          ratelimit.Limiter
	tokens           ratelimit.Quota
	link             *bus.Link
	eventLog         time.Duration
	public, internal *gin.Engine
}

// MasterKeys is the register of what the service keeps under master keys.
func MasterKeys(cfg Config, deps app.Deps) (*masterkey.Register, error) {
	ring, err := cfg.Keyring(Name)
	if err != nil {
		return nil, err
	}
	return masterkey.New(deps.DB, ring, store.SigningKeyRows(deps.DB, ring), idempotency.Rows(deps.DB, ring, deps.Clock)), nil
}

// New builds the service. It calls nobody and starts nothing.
func New(cfg Config, deps app.Deps) (*Service, error) {
	keys, err := MasterKeys(cfg, deps)
	if err != nil {
		return nil, err
	}
	id, peers, err := cfg.Internal(Name)
	if err != nil {
		return nil, err
	}
	s := &Service{Health: app.NewHealth(deps, keys), deps: deps, link: bus.NewLink(), eventLog: cfg.EventLog()}
	s.tokens = cfg.TokenQuota(cfg.Env, deps.Clock)
	s.outbox = outbox.New(deps.DB, source)
	s.store = store.New(deps.DB, s.outbox, keys)
	s.telemetry = telemetry.New(telemetry.Config{DB: deps.DB, Pub: deps.Bus, Backlog: s.outbox.Pending, Log: deps.Log})
	deps.Observe(s.outbox.Pending, s.telemetry.Dropped)
	s.rules = s.newRules(cfg, id)
	s.buildPublic(cfg, keys.Ring)
	s.buildInternal(cfg, peers)
	return s, nil
}

func (s *Service) newRules(cfg Config, id rpc.Identity) *credential.Service {
	license := licensev1connect.NewLicenseServiceClient(rpc.HTTPClient(s.deps.HTTP), cfg.LicenseURL, rpc.NewClientOptions(id, "license")...)
	return credential.New(credential.Deps{
		Clock: s.deps.Clock, Keys: s.store, Families: s.store, Signing: s.store, Devices: authrpc.Devices{License: license}, Link: s.link,
		AdmitRefresh: s.tokens.Admit,
		Refusals: refusal.New(refusal.Options{
			Clock: s.deps.Clock, Count: refusal.Counter(s.deps.Metrics.Registerer(), Name, "token, refresh and verify"), Publish: s.publishRefusal,
		}),
	})
}

func (s *Service) publishRefusal(r refusal.Refusal) {
	s.telemetry.Record(source, r.LicenseID, r.At, &eventsv1.LicenseTokenRefused{
		ErrorCode: r.ErrorCode, LicenseId: r.LicenseID, HardwareId: r.HardwareID, Ip: r.IP, Count: int32(r.Count),
	})
}

func (s *Service) buildPublic(cfg Config, ring *keyring.Ring) {
	s.limiter = ratelimit.NewLocal(s.deps.Clock)
	if cfg.RateLimitShared {
		s.limiter = ratelimit.NewShared(s.deps.DB, s.deps.Clock, s.deps.Log)
	}
	s.guard = apikey.NewGuard(api.KeySource{Rules: s.rules}, apikey.Options{
		Clock: s.deps.Clock, Limiter: s.limiter, Link: s.link, Attempts: cfg.Attempts(s.deps.Clock, clientFailures),
	})
	s.idempotency = idempotency.New(s.deps.DB, ring, s.deps.Clock)
	options := cfg.HTTP(Name, s.deps)
	options.CORSOrigins = cfg.CORSOrigins
	s.public = httpx.NewEngine(options)
	api.Mount(s.public, api.Options{
		Tokens: s.rules, APIKeys: s.manage(), Guard: s.guard, Idempotency: s.idempotency,
		AdminSecrets:  []secret.Secret{cfg.AdminSecret, cfg.AdminSecretPrevious},
		TokenAttempts: cfg.Attempts(s.deps.Clock, clientFailures), AdminAttempts: cfg.Attempts(s.deps.Clock, adminFailures),
	})
	httpx.Meta(s.public, cfg.PublicMeta(Name, openapi.Auth, s.Ready, s.deps))
}

func (s *Service) manage() *manage.Manage {
	return manage.New(manage.Deps{Keys: s.rules, Idempotency: s.idempotency})
}

func (s *Service) buildInternal(cfg Config, peers rpc.Peers) {
	s.internal = httpx.NewEngine(cfg.HTTP(Name, s.deps))
	path, handler := authrpc.NewHandler(s.rules, rpc.Serve(Name, peers, authrpc.Callers)...)
	httpx.Mount(s.internal, path, handler)
	s.manage().Routes(s.internal, rpc.RequireActor(Name, peers, "admin"))
	httpx.Meta(s.internal, httpx.MetaOptions{Service: Name, Ready: s.Ready, Metrics: s.deps.Metrics.Handler()})
}

// Handler answers the public API.
func (s *Service) Handler() http.Handler { return s.public }

// InternalHandler answers peer services.
func (s *Service) InternalHandler() http.Handler { return s.internal }

// Run relays events, hears of changed API keys and signing keys and tidies up until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.outbox.Relay(ctx, s.deps.Bus, s.deps.Log) })
	g.Go(func() error { return s.telemetry.Run(ctx) })
	g.Go(func() error { return s.deps.Bus.Watch(ctx, s.watch()) })
	g.Go(func() error { return app.Every(ctx, s.deps.Log, pruneEvery, "prune", s.prune) })
	g.Go(func() error {
		return app.Every(ctx, s.deps.Log, ratelimit.PruneEvery, "prune rate limits", s.pruneLimits)
	})
	return g.Wait()
}

// Watches are the types of the events that change what this service caches.
func Watches() []string { return append(apikey.Events(), token.KeyEvents()...) }

func (s *Service) watch() bus.Watch {
	return bus.Watch{
		Types: Watches(),
		OnEvent: func(e event.Event) {
			s.guard.OnEvent(e)
			s.rules.OnEvent(e)
		},
		OnGap: func() {
			s.guard.OnGap()
			s.rules.OnGap()
		},
		Link: s.link,
	}
}

func (s *Service) pruneLimits(ctx context.Context) error {
	return errors.Join(s.limiter.Prune(ctx), s.tokens.Limiter.Prune(ctx))
}

func (s *Service) prune(ctx context.Context) error {
	now := s.deps.Clock.Now()
	if _, err := s.store.Prune(ctx, now.Add(-endedKept)); err != nil {
		return err
	}
	if _, err := s.outbox.Prune(ctx, now.Add(-s.eventLog)); err != nil {
		return err
	}
	return s.idempotency.Prune(ctx)
}
