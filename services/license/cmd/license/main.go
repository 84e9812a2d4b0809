// Command license runs the license service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/license"
)

func main() {
	cfg := license.DefaultConfig()
	app.Main(license.Program(&cfg))
}
