package license

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
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
		Short:      "Issues license keys, ties them to devices and validates them.",
		Config:     cfg,
		Migrations: Migrations,
		Queues:     bus.AllQueues(),
		Peers:      []string{"auth"},
		MasterKeys: func(d app.Deps) (*masterkey.Register, error) { return MasterKeys(*cfg, d) },
		New:        func(d app.Deps) (app.Running, error) { return New(*cfg, d) },
		Commands:   []*cobra.Command{republishCommand(), exportRootKeyCommand(cfg), importRootKeyCommand(cfg)},
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

func republishCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "republish --since 2026-01-31",
		Short: "Publish the event log again, so that analytics can be rebuilt",
		Long: `Publish every change of state since a time again, oldest first. Consumers drop what they have seen, so
it is safe to run at any time; the event log goes back 400 days. Telemetry (validations, heartbeats) is not in the
log.`,
		Example: "  license republish --since 2026-01-31\n  license republish --since 2026-01-31T08:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since)
			if err != nil {
				return &app.ArgumentError{Err: err}
			}
			return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
				n, err := outbox.New(d.DB, licensing.Source).Republish(ctx, d.Bus, from, func(sent, total int) {
					fmt.Fprintf(cmd.ErrOrStderr(), "\r%d of %d events", sent, total)
				})
				fmt.Fprintf(cmd.OutOrStdout(), "\n%d events published again\n", n)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "a date or an RFC 3339 time; required")
	return cmd
}

func parseSince(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"--since wants a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z, not %q", s)
}
