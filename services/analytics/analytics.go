// Package analytics is the analytics service: it consumes the events of the suite and answers how licenses are used,
// what looks like abuse, and how risky each license is. The service is a value: it listens nowhere, and several may
// run in one process.
package analytics

import (
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/api"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/peers"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Name is the service's, and that of its schema.
const Name = "analytics"

// Queues is what the service consumes.
var Queues = []bus.Queue{queue()}

// queue is the service's one queue. 2,000 events are a batch: beyond that a transaction gains nothing.
func queue() bus.Queue {
	q := bus.QueueOf(queues.Analytics())
	q.BatchSize = 2000
	return q
}

// Service is the analytics service.
type Service struct {
	*app.Core
	cfg      Config
	store    *store.Store
	consumer *ingest.Consumer
	guard    *apikey.Guard
}

// New builds the service. It calls nobody and starts nothing.
func New(cfg Config, deps app.Deps) (*Service, error) {
	core, err := app.NewCore(Name, cfg.Base, deps, nil)
	if err != nil {
		return nil, err
	}
	engine := detect.New()
	s := &Service{
		Core: core, cfg: cfg, store: store.New(deps.DB, core.Outbox),
	}
	s.consumer = ingest.New(s.store, engine, deps.Clock, deps.Log)
	reports := &usage.Reports{Store: s.store, Log: s.store, Clock: deps.Clock, Retention: cfg.retention()}
	deps.ObserveDeadLetters(queue().Name)
	s.guard = app.NewGuard(core, cfg.Clients, peers.NewAPIKeys(core))
	public := s.PublicEngine(app.Public{OpenAPI: openapi.Analytics, CORSOrigins: cfg.CORSOrigins})
	api.New(api.Deps{
		Reports:       reports,
		Anomalies:     &usage.Anomalies{Store: s.store, Log: s.store, Engine: engine, Clock: deps.Clock},
		RequireAPIKey: s.guard.Require(),
	}).Routes(public)
	s.InternalEngine()
	s.Mount(rpc.NewHandler(reports, s.ForPeers(rpc.Callers)...))
	return s, nil
}
