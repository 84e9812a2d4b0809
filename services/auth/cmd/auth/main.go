// Command auth runs the auth service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/auth"
)

func main() {
	cfg := auth.DefaultConfig()
	app.Main(auth.Program(&cfg))
}
