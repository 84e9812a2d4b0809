// Package admin is the management service, the gateway through which licenses are made, found and changed: it keeps the
// keys and roles of those who may, and the audit log of what they did. The licenses themselves belong to the license
// service, the figures to analytics; admin asks them.
package admin

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/api"
	"github.com/latchkey-dev/latchkey/services/admin/internal/peers"
	"github.com/latchkey-dev/latchkey/services/admin/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "admin"

// Queues is what the service consumes.
var Queues = []bus.Queue{auditQueue(), erasureQueue()}

// Service is the management service.
type Service struct {
	*app.Core
	cfg   Config
	store *store.Store
	keys  *adminkey.Registry
	// configured is closed once the owner key of the configuration is in force: until then its holder would be refused.
	configured chan struct{}
}

// New builds the service. It calls nobody and starts nothing.
func New(cfg Config, deps app.Deps) (*Service, error) {
	keys, err := MasterKeys(cfg, deps)
	if err != nil {
		return nil, err
	}
	core, err := app.NewCore(Name, cfg.Base, deps, keys)
	if err != nil {
		return nil, err
	}
	s := &Service{Core: core, cfg: cfg, store: store.New(deps.DB, core.Outbox), configured: make(chan struct{})}
	s.keys = &adminkey.Registry{Store: s.store, Clock: deps.Clock}
	s.Await(s.configured, "the owner key is not set yet: waiting for the database")
	deps.ObserveDeadLetters(auditQueue().Name)
	deps.ObserveDeadLetters(erasureQueue().Name)
	s.routes()
	return s, nil
}

func (s *Service) routes() {
	api.New(api.Deps{
		Keys:        s.keys,
		Audit:       s.store,
		Peers:       peers.New(s.Core),
		Idempotency: s.Idempotency,
		Clock:       s.Clock,
		Log:         s.Log,
		Attempts:    app.NewAdminKeyAttempts(s.Core),
	}).Routes(s.PublicEngine(app.Public{OpenAPI: openapi.Admin, StrictMembers: true}))
	s.InternalEngine()
	s.Mount(rpc.NewHandler(s.keys, s.ForPeers(rpc.Callers)...))
}
