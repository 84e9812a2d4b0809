package license

import (
	"context"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// rules makes the use cases that all surfaces share, on the stores that open has made.
func (s *Service) rules(cfg Config, deps app.Deps, keys *masterkey.Register) error {
	geo, err := openCountries(cfg.GeoIPFile)
	if err != nil {
		return err
	}
	s.licenses = &licensing.Licenses{
		Store: s.store, Reads: s.store, Clock: deps.Clock, ShortLeases: cfg.Env == app.Development,
		Unaudited: s.unaudited,
	}
	s.seats = &licensing.Seats{
		Lookup:    s.lookup,
		Store:     s.store,
		Seen:      s.seen,
		Telemetry: s.telemetry,
		Blocks:    s.blocks,
		Users:     s.users,
		Geo:       geo,
		Clock:     deps.Clock,
	}
	s.leases = &lease.Leases{Seats: s.seats, Store: s.store, Tokens: lease.NewTokens(keys.Ring, deps.Clock)}
	s.counters = &counter.Counters{
		Seats: s.seats, Store: store.NewCounters(s.store), Telemetry: s.telemetry, Clock: deps.Clock,
	}
	s.appliance = s.newAppliance(cfg)
	return nil
}

// unaudited keeps in the log what the audit log cannot take.
func (s *Service) unaudited(ctx context.Context, by *licensing.Actor, action, licenseID string) {
	s.Log.WarnContext(ctx, "not recorded in the audit log because of maintenance mode",
		"action", action, "admin_id", by.GetId(), "license_id", licenseID)
}
