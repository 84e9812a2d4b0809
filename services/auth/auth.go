// Package auth is the auth service: it makes API keys and tokens and tells which of them still hold. The service is a
// value: it listens nowhere, and several may run in one process.
package auth

import (
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/auth/internal/api"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/manage"
	"github.com/latchkey-dev/latchkey/services/auth/internal/peers"
	"github.com/latchkey-dev/latchkey/services/auth/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "auth"

// Queues is what the service consumes.
var Queues = []bus.Queue{erasureQueue()}

// Service is the auth service.
type Service struct {
	*app.Core
	store     *store.Store
	keys      *credential.APIKeys
	signing   *credential.SigningKeys
	tokens    *credential.Tokens
	telemetry *telemetry.Recorder
	guard     *apikey.Guard
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
	s := &Service{Core: core, store: store.New(deps.DB, core.Outbox, keys), telemetry: app.NewTelemetry(core)}
	s.keys = &credential.APIKeys{Store: s.store, Clock: deps.Clock}
	s.signing = credential.NewSigningKeys(s.store, deps.Clock, core.Link.From(Name))
	s.tokens = credential.NewTokens(credential.TokenDeps{
		Clock:        deps.Clock,
		Keys:         s.signing,
		Families:     s.store,
		Devices:      peers.NewDevices(core),
		AdmitRefresh: app.NewTokenQuota(core, cfg.TokenLimit).Admit,
		Refusals:     app.NewRefusals(core, s.telemetry, "token, refresh and verify"),
	})
	s.guard = app.NewGuard(core, cfg.Clients, api.KeySource{Keys: s.keys})
	deps.ObserveDeadLetters(erasureQueue().Name)
	s.routes(cfg)
	return s, nil
}

func (s *Service) routes(cfg Config) {
	managed := manage.New(manage.Deps{Keys: s.keys, Idempotency: s.Idempotency, RequireActor: s.RequireActor()})
	api.New(api.Deps{
		Tokens:        s.tokens,
		SigningKeys:   s.signing,
		APIKeys:       managed,
		RequireAPIKey: s.guard.Require(),
		AdminSecrets:  []secret.Secret{cfg.AdminSecret, cfg.AdminSecretPrevious},
		Idempotency:   s.Idempotency,
		TokenAttempts: app.NewClientAttempts(s.Core),
		AdminAttempts: app.NewAdminAttempts(s.Core),
	}).Routes(s.PublicEngine(app.Public{OpenAPI: openapi.Auth, CORSOrigins: cfg.CORSOrigins}))
	managed.Routes(s.InternalEngine())
	s.Mount(rpc.NewHandler(rpc.Deps{APIKeys: s.keys, Tokens: s.tokens, SigningKeys: s.signing},
		s.ForPeers(rpc.Callers)...))
}
