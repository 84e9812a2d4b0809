package telemetry

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// buffer holds what was recorded until the collector takes it, all at once. A channel would wake the collector for
// every event, which costs the caller more than recording does.
type buffer struct {
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

func newBuffer(wakeAt int) *buffer { return &buffer{wakeAt: wakeAt, ready: make(chan struct{}, 1)} }

// put reports whether there was room.
func (b *buffer) put(rec record) bool {
	b.mu.Lock()
	if len(b.waiting) == bufferSize {
		b.mu.Unlock()
		return false
	}
	b.waiting = append(b.waiting, rec)
	waiting := len(b.waiting)
	b.mu.Unlock()
	if waiting == b.wakeAt {
		select {
		case b.ready <- struct{}{}:
		default: // it has not come for the last ones yet, and will take these as well
		}
	}
	return true
}

// take empties the buffer; next is where it goes on.
func (b *buffer) take(next []record) []record {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiting
	b.waiting = next
	return taken
}
