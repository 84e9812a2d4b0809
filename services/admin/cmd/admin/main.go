// Command admin runs the management service: licenses, devices, admin keys, statistics and the audit log.
package main

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/admin"
)

func main() {
	cfg := admin.DefaultConfig()
	app.Main(app.Service{
		Name:       admin.Name,
		Short:      "Manages licenses, devices and admin keys, and keeps the audit log",
		Config:     &cfg,
		Migrations: admin.Migrations,
		Queues:     bus.AllQueues(),
		MasterKeys: func(deps app.Deps) (*masterkey.Register, error) { return admin.MasterKeys(cfg, deps) },
		New:        func(deps app.Deps) (app.Running, error) { return admin.New(cfg, deps) },
		Commands:   []*cobra.Command{app.DeadLetters(queues.Audit().Name)},
	})
}
