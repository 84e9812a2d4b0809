package bus

import (
	"sync/atomic"
	"time"
)

const (
	// TickEvery is how often a watch says to itself, over the broker, that its link lives.
	TickEvery = time.Second
	// Silence is how long a link counts as alive without a tick.
	Silence = 3 * time.Second
)

// Link tells whether a Watch sees events at this moment. It goes stale by itself, so that a process that was frozen
// distrusts its caches from its first moment on. The zero Link is not for use: see NewLink.
type Link struct {
	origin time.Time
	// ticked is when the last tick came, in nanoseconds after origin by the monotonic clock; 0 is never.
	ticked atomic.Int64
}

// NewLink returns a link that is not alive yet, to be put into a Watch.
func NewLink() *Link { return &Link{origin: time.Now()} }

// Alive tells whether a tick came within the last 3 seconds.
func (l *Link) Alive() bool {
	at := l.ticked.Load()
	return at != 0 && time.Since(l.origin)-time.Duration(at) < Silence
}

// Tick is for implementations of Bus: the link has just been seen to live.
func (l *Link) Tick() { l.ticked.Store(int64(max(1, time.Since(l.origin)))) }

// Lose is for implementations of Bus: the link is lost.
func (l *Link) Lose() { l.ticked.Store(0) }
