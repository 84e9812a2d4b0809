// Package license is the license service: it issues license keys, ties them to devices and validates them. The service is
// a value: it listens nowhere, and several may run in one process.
package license

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/license/internal/api"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/manage"
	licenserpc "github.com/latchkey-dev/latchkey/services/license/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "license"

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{store.Migrations, outbox.Migrations, telemetry.Migrations, idempotency.Migrations, ratelimit.Migrations, masterkey.Migrations}

// failuresPerMinute is how many refused API keys, and how many refused tokens, one client address may send, where that is limited.
const failuresPerMinute = 60

// Service is the license service.
type Service struct {
	*app.Health
	deps             app.Deps
	rules            *licensing.Licensing
	store            *store.Store
	lookup           *store.Lookup
	seen             *store.Seen
	telemetry        *telemetry.Recorder
	idempotency      *idempotency.Store
	guard            *apikey.Guard
	limiter          ratelimit.Limiter
	tokens           ratelimit.Quota
	families         *api.AuthFamilies
	signingKeys      *token.RemoteKeys
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
	return masterkey.New(deps.DB, ring, store.KeyRows(deps.DB, ring), idempotency.Rows(deps.DB, ring, deps.Clock)), nil
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
	auth := authv1connect.NewAuthServiceClient(rpc.HTTPClient(deps.HTTP), cfg.AuthURL, rpc.NewClientOptions(id, "auth")...)
	s.lookup = store.NewLookup(deps.DB, keys, deps.Clock, store.CacheOptions{Bytes: cfg.cacheBytes(), Link: s.link})
	s.store = store.New(deps.DB, keys, deps.Clock, s.lookup.OnEvent)
	s.seen = store.NewSeen(deps.DB, s.lookup.ForgetDevice, deps.Log)
	s.telemetry = telemetry.New(telemetry.Config{DB: deps.DB, Pub: deps.Bus, Backlog: s.store.Outbox().Pending, Log: deps.Log})
	s.idempotency = idempotency.New(deps.DB, keys.Ring, deps.Clock)
	s.families = api.NewAuthFamilies(auth, deps.Clock, s.link)
	s.signingKeys = token.NewRemoteKeys(licenserpc.KeySet(auth), deps.Clock, s.link)
	s.rules = licensing.New(licensing.Deps{
		Lookup: s.lookup, Store: s.store, Catalog: s.store, Seen: s.seen, Telemetry: s.telemetry, Signer: licenserpc.Signer{Auth: auth}, Clock: deps.Clock,
	})
	deps.Observe(s.store.Outbox().Pending, s.telemetry.Dropped)
	s.buildPublic(cfg, auth)
	s.buildInternal(cfg, peers)
	return s, nil
}

func (s *Service) buildPublic(cfg Config, auth authv1connect.AuthServiceClient) {
	s.limiter = ratelimit.NewLocal(s.deps.Clock)
	if cfg.RateLimitShared {
		s.limiter = ratelimit.NewShared(s.deps.DB, s.deps.Clock, s.deps.Log)
	}
	s.guard = apikey.NewGuard(apikey.Remote(auth), apikey.Options{
		Clock: s.deps.Clock, Limiter: s.limiter, Link: s.link, Attempts: cfg.Attempts(s.deps.Clock, failuresPerMinute),
	})
	a := &api.API{
		Licensing: s.rules, Idempotency: s.idempotency, Families: s.families, Clock: s.deps.Clock,
		Tokens:        token.NewVerifier(s.signingKeys, s.deps.Clock, claims.AudienceAccess),
		OfflineTokens: token.NewVerifier(s.signingKeys, s.deps.Clock, claims.AudienceOffline),
		TokenAttempts: cfg.Attempts(s.deps.Clock, failuresPerMinute), TokenQuota: s.tokens,
		Refusals: refusal.New(refusal.Options{
			Clock: s.deps.Clock, Publish: s.publishRefusal,
			Count: refusal.Counter(s.deps.Metrics.Registerer(), Name, "heartbeat, offline-token and validate-offline"),
		}),
	}
	options := cfg.HTTP(Name, s.deps)
	options.CORSOrigins = cfg.CORSOrigins
	s.public = httpx.NewEngine(options)
	a.Routes(s.public, s.guard.Require())
	httpx.Meta(s.public, cfg.PublicMeta(Name, openapi.License, s.Ready, s.deps))
}

func (s *Service) publishRefusal(r refusal.Refusal) {
	s.telemetry.Record(licensing.Source, r.LicenseID, r.At, &eventsv1.LicenseTokenRefused{
		ErrorCode: r.ErrorCode, LicenseId: r.LicenseID, HardwareId: r.HardwareID, Ip: r.IP, Count: int32(r.Count),
	})
}

func (s *Service) buildInternal(cfg Config, peers rpc.Peers) {
	s.internal = httpx.NewEngine(cfg.HTTP(Name, s.deps))
	path, handler := licensev1connect.NewLicenseServiceHandler(
		&licenserpc.Server{Licensing: s.rules, Clock: s.deps.Clock}, rpc.Serve(Name, peers, licenserpc.Callers)...)
	httpx.Mount(s.internal, path, handler)
	m := manage.New(manage.Deps{Licensing: s.rules, Idempotency: s.idempotency, Clock: s.deps.Clock})
	m.Routes(s.internal, rpc.RequireActor(Name, peers, "admin"))
	httpx.Meta(s.internal, httpx.MetaOptions{Service: Name, Ready: s.Ready, Metrics: s.deps.Metrics.Handler()})
}

// Handler answers the public API.
func (s *Service) Handler() http.Handler { return s.public }

// InternalHandler answers peer services.
func (s *Service) InternalHandler() http.Handler { return s.internal }

// Run relays events, writes what was batched, listens for changes of state and tidies up until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.store.Outbox().Relay(ctx, s.deps.Bus, s.deps.Log) })
	g.Go(func() error { return s.telemetry.Run(ctx) })
	g.Go(func() error { return s.seen.Run(ctx) })
	g.Go(func() error { return s.deps.Bus.Watch(ctx, s.watch()) })
	g.Go(func() error { return app.Every(ctx, s.deps.Log, time.Minute, "announce expiring licenses", s.announce) })
	g.Go(func() error { return app.Every(ctx, s.deps.Log, time.Hour, "prune", s.prune) })
	g.Go(func() error {
		return app.Every(ctx, s.deps.Log, ratelimit.PruneEvery, "prune rate limits", s.pruneLimits)
	})
	return g.Wait()
}

// Watches are the types of the events that change what this service caches, one by one: telemetry must not come to every replica.
func Watches() []string {
	return append([]string{
		eventsv1.TypeLicenseActivated, eventsv1.TypeLicenseDeactivated, eventsv1.TypeLicenseReactivated, eventsv1.TypeLicenseTransferred,
		eventsv1.TypeLicenseUpdated, eventsv1.TypeLicenseExpiring, eventsv1.TypeLicenseTokenReused, eventsv1.TypeDeviceDeactivated,
	}, slices.Concat(apikey.Events(), token.KeyEvents())...)
}

func (s *Service) watch() bus.Watch {
	return bus.Watch{
		Types: Watches(),
		OnEvent: func(e event.Event) {
			s.lookup.OnEvent(e)
			s.families.OnEvent(e)
			s.signingKeys.OnEvent(e)
			s.guard.OnEvent(e)
		},
		OnGap: func() {
			s.lookup.OnGap()
			s.families.OnGap()
			s.signingKeys.OnGap()
			s.guard.OnGap()
		},
		Link: s.link,
	}
}

func (s *Service) announce(ctx context.Context) error {
	_, err := s.rules.AnnounceExpiring(ctx)
	return err
}

func (s *Service) pruneLimits(ctx context.Context) error {
	return errors.Join(s.limiter.Prune(ctx), s.tokens.Limiter.Prune(ctx))
}

func (s *Service) prune(ctx context.Context) error {
	if _, err := s.store.Outbox().Prune(ctx, s.deps.Clock.Now().Add(-s.eventLog)); err != nil {
		return err
	}
	if _, err := s.store.ForgetDevices(ctx); err != nil {
		return err
	}
	return s.idempotency.Prune(ctx)
}
