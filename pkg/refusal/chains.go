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
	// chainsOfLicense bounds those of one license, which can have as many families as its devices ask for: the refusals
	// of more share one chain. No license takes the places of others.
	chainsOfLicense = 500
	// shared is the name of the chain of a license for all that have no place; no other is called so.
	shared = ""
)

// chains bounds the events about refused tokens. The zero value is ready for use.
type chains struct {
	mu        sync.Mutex
	byLicense map[string]map[string]*chain
	watched   int
}

type chain struct {
	// published are the times of the last events, as a ring.
	published [publishedPerMinute]time.Time
	next      int
	// unpublished refusals wait to be counted in the next event.
	unpublished int
}

// publish says how many refusals of the chain the event to be published now stands for, or 0 when none is to be.
func (s *chains) publish(license, name string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chain(license, name, now)
	if c == nil {
		return 0
	}
	if now.Sub(c.published[c.next]).Abs() < time.Minute { // further ahead: the clock was set back
		c.unpublished++
		return 0
	}
	count := 1 + c.unpublished
	c.published[c.next], c.unpublished = now, 0
	c.next = (c.next + 1) % publishedPerMinute
	return count
}

// chain is that of a name, or that which stands for it, nil where there is no room.
func (s *chains) chain(license, name string, now time.Time) *chain {
	if c := s.byLicense[license][name]; c != nil {
		return c
	}
	if len(s.byLicense[license]) >= chainsOfLicense {
		s.forgetOld(license, now)
	}
	if len(s.byLicense[license]) >= chainsOfLicense {
		if c := s.byLicense[license][shared]; c != nil {
			return c
		}
		name = shared
	}
	if s.watched >= chainsWatched {
		for each := range s.byLicense {
			s.forgetOld(each, now)
		}
	}
	if s.watched >= chainsWatched {
		return nil
	}
	return s.watch(license, name)
}

func (s *chains) watch(license, name string) *chain {
	if s.byLicense == nil {
		s.byLicense = map[string]map[string]*chain{}
	}
	if s.byLicense[license] == nil {
		s.byLicense[license] = map[string]*chain{}
	}
	c := &chain{}
	s.byLicense[license][name] = c
	s.watched++
	return c
}

// forgetOld makes room by forgetting the chains of a license without an event in the last hour.
func (s *chains) forgetOld(license string, now time.Time) {
	of := s.byLicense[license]
	for name, c := range of {
		if now.Sub(c.published[(c.next+publishedPerMinute-1)%publishedPerMinute]).Abs() > time.Hour {
			delete(of, name)
			s.watched--
		}
	}
	if len(of) == 0 {
		delete(s.byLicense, license)
	}
}
