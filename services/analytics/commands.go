package analytics

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
)

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{store.Migrations, outbox.Migrations, ratelimit.Migrations}

// Program is the service as a program. cfg is filled when a command runs.
func Program(cfg *Config) app.Service {
	return app.Service{
		Name:         Name,
		Short:        "Turns events into usage figures, anomalies and risk scores",
		Config:       cfg,
		Migrations:   Migrations,
		Queues:       bus.AllQueues(),
		Peers:        func() []string { return []string{"auth"} },
		New:          func(d app.Deps) (app.Running, error) { return New(*cfg, d) },
		DiagnoseData: diagnoseAddresses,
		Commands:     []*cobra.Command{app.DeadLetters(queue().Name)},
	}
}
