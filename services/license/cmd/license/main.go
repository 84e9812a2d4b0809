// Command license runs the license service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/license"
)

func main() {
	cfg := license.DefaultConfig()
	app.Main(app.Service{
		Name:       license.Name,
		Short:      "Issues license keys, ties them to devices and validates them.",
		Config:     &cfg,
		Migrations: license.Migrations,
		Queues:     bus.AllQueues(),
		MasterKeys: func(deps app.Deps) (*masterkey.Register, error) { return license.MasterKeys(cfg, deps) },
		New:        func(deps app.Deps) (app.Running, error) { return license.New(cfg, deps) },
		Commands:   license.Commands(),
	})
}
