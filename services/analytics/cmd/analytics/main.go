// Command analytics runs the analytics service.
package main

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/analytics"
)

func main() {
	cfg := analytics.DefaultConfig()
	app.Main(app.Service{
		Name:       analytics.Name,
		Short:      "Turns events into usage figures, anomalies and risk scores",
		Config:     &cfg,
		Migrations: analytics.Migrations,
		Queues:     bus.AllQueues(),
		New:        func(deps app.Deps) (app.Running, error) { return analytics.New(cfg, deps) },
		Commands:   []*cobra.Command{app.DeadLetters(queues.Analytics().Name)},
	})
}
