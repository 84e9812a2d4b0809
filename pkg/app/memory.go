package app

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is live before it is collected. Services keep little beside their caches, and
// collecting at the usual 100 took a quarter of the CPU of a validation.
const gcPercent = 400

// TuneMemory sets the pace of garbage collection for the process, unless GOGC says otherwise. GOMEMLIMIT bounds it as usual.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
