// Command admin runs the admin service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/admin"
)

func main() {
	cfg := admin.DefaultConfig()
	app.Main(admin.Program(&cfg))
}
