package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/google/uuid"
)

const (
	// gcHeadroom is by how much the heap may grow before it is collected. The usual, as much again as is live, has a service that keeps
	// little collect all the time (a quarter of the CPU of a validation), and one with large caches take twice their size.
	gcHeadroom = 80 << 20
	// The bounds of the pace: a small heap grows to five times what is live, and collecting a large one may not take all the time.
	gcPercentMost, gcPercentLeast = 400, 50
)

// Tune fits the Go runtime to a service; the first thing a program does. It bounds the memory by that of the container
// (GOMEMLIMIT, AUTOMEMLIMIT and GOGC say otherwise), sets the pace of garbage collection, and lets ids of requests and events take
// randomness sixteen at a time: they are no secrets, which are made elsewhere.
func Tune() {
	_, _ = memlimit.Set() // where there is no limit to be found there is none to keep
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercentMost)
		afterEachGC(setPace)
	}
	uuid.EnableRandPool()
}

// MemoryLimit is the memory in bytes that this process may have: the limit of its container, or else that of the machine.
func MemoryLimit() uint64 {
	limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil {
		return 1 << 30 // nothing can be found out: take it for a small machine
	}
	return limit
}

// afterEachGC calls fn, quickly, after each garbage collection.
func afterEachGC(fn func()) {
	type sentinel struct{ _ *byte } // with a pointer, or it would share its memory with others
	runtime.AddCleanup(&sentinel{}, func(fn func()) { fn(); afterEachGC(fn) }, fn)
}

// setPace sets when the next collection comes, by what the last one has left.
func setPace() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
}

// gcPercent lets the heap grow by gcHeadroom, within bounds.
func gcPercent(live uint64) int {
	return int(min(gcPercentMost, max(gcPercentLeast, gcHeadroom*100/max(live, 1))))
}
