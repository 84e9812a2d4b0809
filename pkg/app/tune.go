package app

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/google/uuid"
)

const (
	// gcHeadroom is by how much the heap may grow before it is collected. The usual, as much again as is live, has a
	// service that keeps little collect all the time (a quarter of the CPU of a validation), and one with large caches
	// take twice their size.
	gcHeadroom = 80 << 20
	// The bounds of the pace: a small heap grows to five times what is live, and collecting a large one may not take
	// all the time.
	gcPercentMost, gcPercentLeast = 400, 50
	// After a rush the heap stays as large as it was, because nothing collects it: so every returnEvery a process that
	// has become quiet returns what it holds beyond what is live, if that is more than returnable and more than a
	// sixteenth of what is live, all of which a collection has to look at.
	returnEvery = 10 * time.Second
	returnable  = 8 << 20
)

// Tune fits the Go runtime to a service; the first thing a program does. It bounds the memory by that of the container
// (GOMEMLIMIT, AUTOMEMLIMIT and GOGC say otherwise), sets the pace of garbage collection, returns memory after a rush,
// and lets ids of requests and events take randomness sixteen at a time: they are no secrets, which are made elsewhere.
func Tune() {
	_, _ = memlimit.Set() // where there is no limit to be found there is none to keep
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercentMost)
		afterEachGC(setPace)
	}
	go returnMemory()
	uuid.EnableRandPool()
}

// MemoryLimit is the memory in bytes that this process may have: the limit of its container, if that is not more than
// the machine has, or else that of the machine.
func MemoryLimit() uint64 { return memoryLimit(memlimit.FromCgroup, memlimit.FromSystem) }

func memoryLimit(sources ...memlimit.Provider) uint64 {
	least := uint64(math.MaxUint64)
	for _, source := range sources {
		if limit, err := source(); err == nil && limit > 0 {
			least = min(least, limit)
		}
	}
	if least == math.MaxUint64 {
		return 1 << 30 // nothing can be found out: take it for a small machine
	}
	return least
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

// returnMemory returns to the operating system what is not needed any more, for as long as the process lives.
func returnMemory() {
	for before := readHeap(); ; {
		time.Sleep(returnEvery)
		now := readHeap()
		if now.returnable(before) {
			debug.FreeOSMemory()
			now = readHeap()
		}
		before = now
	}
}

// heap is the state of the heap: collections so far, bytes that were live at the last one, and bytes that are held.
type heap struct{ collections, live, held uint64 }

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	held := samples[2].Value.Uint64() + samples[3].Value.Uint64() + samples[4].Value.Uint64()
	return heap{collections: samples[0].Value.Uint64(), live: samples[1].Value.Uint64(), held: held}
}

// returnable reports whether a collection now is worth its while. One that works is collected by itself, and grows
// again at once.
func (h heap) returnable(before heap) bool {
	return h.collections <= before.collections+1 && h.held > h.live+max(returnable, h.live/16)
}
