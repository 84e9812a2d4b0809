// Command analytics runs the analytics service.
package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/analytics"
)

func main() {
	cfg := analytics.DefaultConfig()
	app.Main(analytics.Program(&cfg))
}
