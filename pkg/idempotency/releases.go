package idempotency

import (
	"context"
	"sync"
	"time"
)

const (
	// releasePause is between two rounds of giving keys back while the database is away.
	releasePause = 200 * time.Millisecond
	// releasesKept bounds the keys that wait to be given back. Those of more calls are free when their leases run out,
	// seconds later.
	releasesKept = 1000
)

// releases gives keys back that could not be given back at once. One goroutine works, and only while any are waiting.
type releases struct {
	remove func(ctx context.Context, r reservation) error

	mu      sync.Mutex
	waiting []release
	working bool
}

// release is a key to be given back until its lease runs out.
type release struct {
	reservation
	until time.Time
}

func (s *releases) add(r reservation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= releasesKept {
		return
	}
	s.waiting = append(s.waiting, release{r, time.Now().Add(r.lease)})
	if !s.working {
		s.working = true
		go s.work()
	}
}

func (s *releases) work() {
	for next, ok := s.next(); ok; next, ok = s.next() {
		if time.Now().After(next.until) || s.remove(context.Background(), next.reservation) == nil {
			s.done()
			continue
		}
		time.Sleep(releasePause)
	}
}

// next is the key that waits longest. Without one the work is over.
func (s *releases) next() (release, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.working = false
		return release{}, false
	}
	return s.waiting[0], true
}

func (s *releases) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = s.waiting[1:]
}
