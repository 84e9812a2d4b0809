// Package license is the license service: it issues license keys, ties them to devices and validates them. The service
// is a value: it listens nowhere, and several may run in one process.
package license

import (
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/peers"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// Name is the service's, and that of its schema.
const Name = "license"

// Service is the license service.
type Service struct {
	*app.Core
	licenses  *licensing.Licenses
	seats     *licensing.Seats
	leases    *lease.Leases
	counters  *counter.Counters
	store     *store.Store
	lookup    *store.Lookup
	blocks    *store.Blocks
	revoked   *store.Revocations
	fileKeys  *licensefile.Keys
	users     *store.Users
	signers   *store.Signers
	responses *integration.ResponseKeys
	ring      *keyring.Ring
	seen      *store.Seen
	telemetry *telemetry.Recorder
	auth      peers.Auth
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
	s := &Service{Core: core, auth: peers.NewAuth(core), telemetry: app.NewTelemetry(core)}
	s.open(cfg, deps, keys)
	s.licenses = &licensing.Licenses{
		Store: s.store, Catalog: s.store, Clock: deps.Clock, ShortLeases: cfg.Env == app.Development,
	}
	geo, err := openCountries(cfg.GeoIPFile)
	if err != nil {
		return nil, err
	}
	s.seats = &licensing.Seats{
		Lookup:    s.lookup,
		Store:     s.store,
		Seen:      s.seen,
		Telemetry: s.telemetry,
		Blocks:    s.blocks,
		Geo:       geo,
		Clock:     deps.Clock,
	}
	s.leases = &lease.Leases{Seats: s.seats, Store: s.store, Tokens: lease.NewTokens(keys.Ring, deps.Clock)}
	s.counters = &counter.Counters{
		Seats: s.seats, Store: store.NewCounters(s.store), Telemetry: s.telemetry, Clock: deps.Clock,
	}
	s.guard = app.NewGuard(core, cfg.Clients, s.auth.APIKeys)
	s.routes(cfg)
	return s, nil
}
