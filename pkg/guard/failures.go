package guard

import (
	"container/list"
	"time"
)

// address is what is known of one client address (httpx.ClientNetwork) of which credentials were refused. Times are
// Unix microseconds. The 429 of an allowance comes from pkg/apikey/guard.go.
type address struct {
	failures []int64   // of the last minute, oldest first
	busy     int       // credentials being looked at; at least one while others wait
	waiting  list.List // of *waiter, in the order in which they came
	paced    int64     // of the token bucket of look-ups beyond the limit: up to when its tokens are spent
}

// state finds or makes the state of an address. What has nothing left to remember is forgotten once a minute; where
// there are too many addresses nevertheless, any other is forgotten: that helps no attacker, who with so many addresses
// has the limit of each anyway.
func (a *Attempts) state(from string, now int64) *address {
	if now >= a.sweepAt || a.sweepAt > now+window.Microseconds() { // further away: the clock was set back
		a.sweepAt = now + window.Microseconds()
		for key, s := range a.addresses {
			if s.busy == 0 && s.failed(now) == 0 {
				delete(a.addresses, key)
			}
		}
	}
	s := a.addresses[from]
	if s == nil {
		a.makeRoom()
		s = &address{}
		a.addresses[from] = s
	}
	return s
}

func (a *Attempts) makeRoom() {
	if len(a.addresses) < addressesKept {
		return
	}
	for key, s := range a.addresses {
		if s.busy == 0 {
			delete(a.addresses, key)
			return
		}
	}
}

// failed is the number of failures within the last minute. Those of a later future mean that the clock was set back.
func (s *address) failed(now int64) int {
	gone := 0
	for gone < len(s.failures) && (s.failures[gone]+window.Microseconds() <= now ||
		s.failures[gone] > now+window.Microseconds()) {
		gone++
	}
	s.failures = s.failures[gone:]
	return len(s.failures)
}

// room is how many more failures the address may have, those that may come of its busy ones taken off.
func (s *address) room(now int64, limit int) int { return limit - s.failed(now) - s.busy }

// take takes a place, which beyond the limit is one of madeBurst.
func (s *address) take(now int64, limit int) {
	s.busy++
	if s.failed(now) >= limit {
		s.paced += madePace
	}
}

// spare is how many credentials may yet be looked at beyond the limit. A pace from the future means that the clock was
// set back.
func (s *address) spare(now int64) int {
	s.paced = min(max(s.paced, now-madeBurst*madePace), now)
	return int((now - s.paced) / madePace)
}

func (s *address) fail(now int64) { s.failures = append(s.failures, now) }

// retryAfter is the time until the address may fail again, in whole seconds rounded up, at least one.
func (s *address) retryAfter(now int64, limit int) time.Duration {
	wait := time.Duration(0)
	if n := s.failed(now); n >= limit {
		wait = time.Duration(s.failures[n-limit]+window.Microseconds()-now) * time.Microsecond
	}
	return max((wait+time.Second-1)/time.Second*time.Second, time.Second)
}
