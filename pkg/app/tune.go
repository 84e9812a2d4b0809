package app

import (
	"os"
	"runtime/debug"

	"github.com/google/uuid"
)

// gcPercent lets the heap grow to five times what is live before it is collected. Services keep little beside their caches, and
// collecting at the usual 100 took a quarter of the CPU of a validation.
const gcPercent = 400

// Tune fits the Go runtime to a service; the first thing a program does. It sets the pace of garbage collection, unless GOGC
// says otherwise (GOMEMLIMIT bounds it as usual), and lets ids of requests and events take randomness sixteen at a time:
// they are no secrets, which are made elsewhere.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	uuid.EnableRandPool()
}
