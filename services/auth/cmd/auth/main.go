// Command auth runs the auth service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/auth"
)

func main() {
	cfg := auth.DefaultConfig()
	app.Main(app.Service{
		Name:       auth.Name,
		Short:      "API keys, access and refresh tokens, and the keys that sign them",
		Config:     &cfg,
		Migrations: auth.Migrations,
		Queues:     bus.AllQueues(),
		MasterKeys: func(deps app.Deps) (*masterkey.Register, error) { return auth.MasterKeys(cfg, deps) },
		New:        func(d app.Deps) (app.Running, error) { return auth.New(cfg, d) },
		Commands:   auth.Commands(&cfg),
	})
}
