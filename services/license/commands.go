package license

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{
	store.Migrations, outbox.Migrations, telemetry.Migrations, idempotency.Migrations, ratelimit.Migrations,
	masterkey.Migrations,
}

// Program is the service as a program. cfg is filled when a command runs.
func Program(cfg *Config) app.Service {
	return app.Service{
		Name:       Name,
		Short:      "Issues license keys, ties them to devices and validates them",
		Config:     cfg,
		Migrations: Migrations,
		Queues:     bus.AllQueues(),
		Peers:      cfg.peers,
		MasterKeys: func(d app.Deps) (*masterkey.Register, error) { return MasterKeys(*cfg, d) },
		New:        func(d app.Deps) (app.Running, error) { return New(*cfg, d) },
		Commands:   []*cobra.Command{exportRootKeyCommand(cfg), importRootKeyCommand(cfg)},
	}
}

// MasterKeys is the register of what the service keeps under master keys.
func MasterKeys(cfg Config, deps app.Deps) (*masterkey.Register, error) {
	ring, err := cfg.Keyring(Name)
	if err != nil {
		return nil, err
	}
	rows := []masterkey.Rows{
		store.KeyRows(deps.DB, ring), store.FormerKeyRows(deps.DB, ring), store.FileKeyRows(deps.DB, ring),
		store.InstallationRows(deps.DB, ring), idempotency.Rows(deps.DB, ring, deps.Clock),
	}
	return masterkey.New(deps.DB, ring, append(rows, store.IntegrationRows(deps.DB, ring)...)...), nil
}
