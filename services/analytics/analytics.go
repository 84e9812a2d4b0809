// Package analytics is the analytics service: it consumes the events of the suite and answers how licenses are used, what
// looks like abuse, and how risky each license is. The service is a value: it listens nowhere, and several may run in one process.
package analytics

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/api"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	analyticsrpc "github.com/latchkey-dev/latchkey/services/analytics/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Name is the service's, and that of its schema.
const Name = "analytics"

// source names the service in the events that it publishes.
const source = "latchkey/" + Name

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{store.Migrations, outbox.Migrations, ratelimit.Migrations}

// Queues is what the service consumes.
var Queues = []bus.Queue{queue()}

// queue is the service's one queue. 2,000 events are a batch: beyond that a transaction gains nothing.
func queue() bus.Queue {
	q := bus.QueueOf(queues.Analytics())
	q.BatchSize, q.BatchWait, q.MaxAttempts = 2000, 20*time.Millisecond, 5
	return q
}

// failuresPerMinute is how many refused API keys one client address may send, where that is limited.
const failuresPerMinute = 60

// Service is the analytics service.
type Service struct {
	*app.Health
	cfg              Config
	deps             app.Deps
	store            *store.Store
	outbox           *outbox.Outbox
	consumer         *ingest.Consumer
	metrics          *metrics
	usage            *usage.Service
	guard            *apikey.Guard
	limiter          ratelimit.Limiter
	link             *bus.Link
	public, internal *gin.Engine
}

// New builds the service. It calls nobody and starts nothing.
func New(cfg Config, deps app.Deps) (*Service, error) {
	id, peers, err := cfg.Internal(Name)
	if err != nil {
		return nil, err
	}
	s := &Service{Health: app.NewHealth(deps, nil), cfg: cfg, deps: deps, link: bus.NewLink(), outbox: outbox.New(deps.DB, source)}
	engine := detect.New(detect.DefaultSettings())
	s.store = store.New(deps.DB, s.outbox)
	s.consumer = ingest.New(s.store, engine, deps.Clock, deps.Log)
	s.usage = usage.NewService(s.store, s.store, engine, deps.Clock)
	s.metrics = newMetrics(deps.Metrics.Registerer())
	deps.Observe(s.outbox.Pending, nil)
	deps.ObserveDeadLetters(queue().Name)
	s.guard = s.newGuard(id)
	s.buildPublic()
	s.buildInternal(peers)
	return s, nil
}

func (s *Service) newGuard(id rpc.Identity) *apikey.Guard {
	auth := authv1connect.NewAuthServiceClient(rpc.HTTPClient(s.deps.HTTP), s.cfg.AuthURL, rpc.NewClientOptions(id, "auth")...)
	s.limiter = ratelimit.NewLocal(s.deps.Clock)
	if s.cfg.RateLimitShared {
		s.limiter = ratelimit.NewShared(s.deps.DB, s.deps.Clock, s.deps.Log)
	}
	return apikey.NewGuard(apikey.Remote(auth), apikey.Options{
		Clock: s.deps.Clock, Limiter: s.limiter, Link: s.link, Attempts: s.cfg.Attempts(s.deps.Clock, failuresPerMinute),
	})
}

func (s *Service) buildPublic() {
	options := s.cfg.HTTP(Name, s.deps)
	options.CORSOrigins = s.cfg.CORSOrigins
	s.public = httpx.NewEngine(options)
	api.Mount(s.public, s.usage, s.guard.Require())
	httpx.Meta(s.public, s.cfg.PublicMeta(Name, openapi.Analytics, s.Ready, s.deps))
}

func (s *Service) buildInternal(peers rpc.Peers) {
	s.internal = httpx.NewEngine(s.cfg.HTTP(Name, s.deps))
	path, handler := analyticsrpc.NewHandler(s.usage, rpc.Serve(Name, peers, analyticsrpc.Callers)...)
	httpx.Mount(s.internal, path, handler)
	httpx.Meta(s.internal, httpx.MetaOptions{Service: Name, Ready: s.Ready, Metrics: s.deps.Metrics.Handler()})
}

// Handler answers the public API.
func (s *Service) Handler() http.Handler { return s.public }

// InternalHandler answers peer services.
func (s *Service) InternalHandler() http.Handler { return s.internal }

// Run consumes events, announces anomalies and tidies up until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.deps.Bus.Consume(ctx, queue(), s.handler())
	})
	g.Go(func() error { return s.outbox.Relay(ctx, s.deps.Bus, s.deps.Log) })
	g.Go(func() error { return s.deps.Bus.Watch(ctx, s.watch()) })
	g.Go(func() error {
		return app.Every(ctx, s.deps.Log, time.Minute, "close silent anomalies", s.closeAnomalies)
	})
	g.Go(func() error { return app.Every(ctx, s.deps.Log, time.Hour, "compute risk scores", s.rescore) })
	g.Go(func() error { return app.Every(ctx, s.deps.Log, time.Hour, "prune", s.prune) })
	g.Go(func() error {
		return app.Every(ctx, s.deps.Log, ratelimit.PruneEvery, "prune rate limits", s.limiter.Prune)
	})
	return g.Wait()
}

// handler takes in events at a pace that leaves time to the requests of the process.
func (s *Service) handler() bus.Handler {
	h := s.metrics.watched(s.deps.Clock, s.consumer.Handle)
	if s.deps.Answered == nil {
		return h
	}
	return ingest.NewPace(h, s.deps.Answered).Handle
}

// Watches are the types of the events that change what this service caches.
func Watches() []string { return apikey.Events() }

func (s *Service) watch() bus.Watch {
	return bus.Watch{Types: Watches(), OnEvent: s.guard.OnEvent, OnGap: s.guard.OnGap, Link: s.link}
}
