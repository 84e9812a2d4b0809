package telemetry

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// ring holds what was recorded until the collector takes it, all at once. A channel would wake the collector for every event,
// which costs the caller more than recording does.
type ring struct {
	wakeAt int           // how many records wake the collector before its next tick
	ready  chan struct{} // says that so many wait

	mu      sync.Mutex
	waiting []record
}

type record struct {
	source, subject string
	at              time.Time
	msg             proto.Message
}

func newRing(wakeAt int) *ring { return &ring{wakeAt: wakeAt, ready: make(chan struct{}, 1)} }

// put tells whether there was room.
func (r *ring) put(rec record) bool {
	r.mu.Lock()
	if len(r.waiting) == ringSize {
		r.mu.Unlock()
		return false
	}
	r.waiting = append(r.waiting, rec)
	waiting := len(r.waiting)
	r.mu.Unlock()
	if waiting == r.wakeAt {
		select {
		case r.ready <- struct{}{}:
		default: // it has not come for the last ones yet, and will take these as well
		}
	}
	return true
}

// take empties the ring; next is where it goes on.
func (r *ring) take(next []record) []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.waiting
	r.waiting = next
	return taken
}
