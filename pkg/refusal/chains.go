package refusal

import (
	"sync"
	"time"
)

const (
	// publishedPerMinute is how many refusals of one chain become events within any minute. The others are counted in
	// the next.
	publishedPerMinute = 10
	// chainsWatched bounds the chains whose refusals are counted; the refusals of more only count in the metric.
	chainsWatched = 10_000
)

// chains bounds the events about refused tokens. The zero value is ready for use.
type chains struct {
	mu     sync.Mutex
	byName map[string]*chain
}

type chain struct {
	// published are the times of the last events, as a ring.
	published [publishedPerMinute]time.Time
	next      int
	// unpublished refusals wait to be counted in the next event.
	unpublished int
}

// publish says how many refusals of the chain the event to be published now stands for, or 0 when none is to be.
func (s *chains) publish(name string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[name]
	if c == nil {
		if s.forgetOld(now); len(s.byName) >= chainsWatched {
			return 0
		}
		c = &chain{}
		s.byName[name] = c
	}
	if now.Sub(c.published[c.next]) < time.Minute {
		c.unpublished++
		return 0
	}
	count := 1 + c.unpublished
	c.published[c.next], c.unpublished = now, 0
	c.next = (c.next + 1) % publishedPerMinute
	return count
}

// forgetOld makes room, when the chains are too many, by forgetting those without an event in the last hour.
func (s *chains) forgetOld(now time.Time) {
	if s.byName == nil {
		s.byName = map[string]*chain{}
	}
	if len(s.byName) < chainsWatched {
		return
	}
	for name, c := range s.byName {
		if now.Sub(c.published[(c.next+publishedPerMinute-1)%publishedPerMinute]) > time.Hour {
			delete(s.byName, name)
		}
	}
}
