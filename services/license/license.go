// Package license is the license service: it issues license keys, ties them to devices and validates them. The service
// is a value: it listens nowhere, and several may run in one process.
package license

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
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
	seatUse   *prometheus.GaugeVec
	// applianceStatus is empty where edge mode is off.
	applianceStatus *prometheus.GaugeVec
	auth            peers.Auth
	guard           *apikey.Guard
	// appliance is the license of this installation itself, nil where edge mode is off.
	appliance *appliance.Appliance
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
	if err := s.rules(cfg, deps, keys); err != nil {
		return nil, err
	}
	s.seatUse = seatUse(deps.Metrics.Registerer())
	s.applianceStatus = applianceStatus(deps.Metrics.Registerer())
	s.guard = app.NewGuard(core, cfg.Clients, s.auth.APIKeys)
	s.routes(cfg)
	return s, nil
}
