package idempotency

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReleasesAreBounded: during an outage one goroutine tries, for a bounded number of keys; afterwards none is left.
func TestReleasesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
		var away atomic.Bool
		var trying, most, removed atomic.Int32
		s := releases{remove: func(context.Context, reservation) error {
			most.Store(max(most.Load(), trying.Add(1)))
			time.Sleep(time.Millisecond)
			trying.Add(-1)
			if away.Load() {
				return errors.New("the database is away")
			}
			removed.Add(1)
			return nil
		}}
		away.Store(true)
		for i := range 5 * releasesKept {
			s.add(reservation{Key: Key{Key: fmt.Sprint(i)}, lease: time.Minute})
		}
		time.Sleep(10 * time.Second)
		if waiting, _ := s.state(); waiting != releasesKept || most.Load() != 1 || removed.Load() != 0 {
			t.Errorf("%d wait, %d goroutines tried, %d were removed", waiting, most.Load(), removed.Load())
		}
		away.Store(false)
		time.Sleep(10 * time.Second)
		if _, working := s.state(); removed.Load() != releasesKept || most.Load() != 1 || working {
			t.Errorf("afterwards %d were removed by %d goroutines, still working: %v",
				removed.Load(), most.Load(), working)
		}
	})
}

// TestReleasesEndWithTheirLeases: what could not be given back in time is free by itself.
func TestReleasesEndWithTheirLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := releases{remove: func(context.Context, reservation) error { return errors.New("the database is away") }}
		for range 3 {
			s.add(reservation{lease: 2 * time.Second})
		}
		time.Sleep(3 * time.Second)
		if waiting, working := s.state(); waiting != 0 || working {
			t.Errorf("%d still wait, working: %v", waiting, working)
		}
	})
}

func (s *releases) state() (waiting int, working bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.working
}
