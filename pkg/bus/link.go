package bus

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// TickEvery is how often a watch says to itself, over the broker, that its link lives, and how often a service says
	// that what it publishes is taken.
	TickEvery = time.Second
	// Silence is how long a link counts as alive without a tick, and a source as prompt without a sign.
	Silence = 3 * time.Second
)

// Link reports whether a Watch sees events at this moment. It goes stale by itself, so that a process that was frozen
// distrusts its caches from its first moment on. The zero Link is not for use: see NewLink.
type Link struct {
	ticked signal

	mu      sync.Mutex
	sources map[string]*Source
}

// signal is when something was last heard of.
type signal struct {
	origin time.Time
	// heard is in nanoseconds after origin by the monotonic clock; 0 is never.
	heard atomic.Int64
}

// fresh reports whether it was within the last 3 seconds, now after origin.
func (s *signal) fresh(now time.Duration) bool {
	at := s.heard.Load()
	return at != 0 && now-time.Duration(at) < Silence
}

func (s *signal) give() { s.heard.Store(int64(max(1, time.Since(s.origin)))) }

// NewLink returns a link that is not alive yet, to be put into a Watch.
func NewLink() *Link { return &Link{ticked: signal{origin: time.Now()}, sources: map[string]*Source{}} }

// Alive reports whether a tick came within the last 3 seconds.
func (l *Link) Alive() bool { return l.ticked.fresh(time.Since(l.ticked.origin)) }

// Tick is for implementations of Bus: the link has just been seen to live.
func (l *Link) Tick() { l.ticked.give() }

// Lose is for implementations of Bus: the link is lost.
func (l *Link) Lose() { l.ticked.heard.Store(0) }

// Sign is for implementations of Bus: the service has just said that what it publishes is taken.
func (l *Link) Sign(service string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sources[service]; s != nil {
		s.sign.give()
	}
}

// Source is a service whose events a Watch is for. It must be asked for before the watch begins.
type Source struct {
	link *Link
	sign signal
}

// From returns the source of this name.
func (l *Link) From(service string) *Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sources[service] == nil {
		l.sources[service] = &Source{link: l, sign: signal{origin: l.ticked.origin}}
	}
	return l.sources[service]
}

// Sources are the names of the sources that were asked for.
func (l *Link) Sources() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.sources))
}

// Alive reports whether what the bus accepts arrives.
func (s *Source) Alive() bool { return s.link.Alive() }

// Prompt reports whether, beyond that, the bus takes what the service publishes: it has said so within the last 3
// seconds. A service that is away does not say so.
//
// Caches ask it for each value that they hold, so it reads the clock once: both signals have one origin.
func (s *Source) Prompt() bool {
	now := time.Since(s.sign.origin)
	return s.sign.fresh(now) && s.link.ticked.fresh(now)
}
