package ratelimit

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	shards = 64
	// keysKept bounds the memory of a shard.
	keysKept = 4096
)

// local keeps the windows in memory. Keys are spread over shards so that busy ones do not wait for one another.
type local struct {
	clock  clock.Clock
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu   sync.Mutex
	keys map[string]*usage
}

// NewLocal makes a limiter that counts what this process admits. It remembers some 260,000 keys; beyond that some key
// begins afresh for each that is new.
func NewLocal(c clock.Clock) Limiter {
	l := &local{clock: c, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].keys = map[string]*usage{}
	}
	return l
}

// Take implements Limiter.
func (l *local) Take(_ context.Context, key string, limit Limit) Decision {
	if limit.PerMinute <= 0 && limit.PerHour <= 0 {
		return Decision{Allowed: true}
	}
	now := l.clock.Now().UnixMicro()
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.keys[key]
	if u == nil {
		s.makeRoom()
		fresh := newUsage()
		u = &fresh
		s.keys[key] = u
	}
	_, d := u.take(now, 0, 1, limit)
	return d
}

// Refund implements Limiter.
func (l *local) Refund(_ context.Context, key string) {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.keys[key]; u != nil {
		u.refund(1)
	}
}

func (l *local) shard(key string) *shard {
	return &l.shards[maphash.String(l.seed, key)%shards]
}

func (s *shard) makeRoom() {
	if len(s.keys) < keysKept {
		return
	}
	for key := range s.keys {
		delete(s.keys, key)
		return
	}
}

// Prune implements Limiter.
func (l *local) Prune(context.Context) error {
	now := l.clock.Now().UnixMicro()
	for i := range l.shards {
		l.shards[i].forgetIdle(now)
	}
	return nil
}

// forgetIdle removes the keys that have nothing left in their windows.
func (s *shard) forgetIdle(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, u := range s.keys {
		if u.idle(now) {
			delete(s.keys, key)
		}
	}
}
