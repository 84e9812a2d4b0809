package token

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// fetchEvery is the shortest time between the starts of two fetches, whatever is asked for: tokens with unknown
	// kids cost nothing to make up. It is short, because a key that replaces a revoked one signs before anybody has
	// learned of it.
	fetchEvery   = 200 * time.Millisecond
	fetchTimeout = 1500 * time.Millisecond
)

// KeyEvents are the types of event after which keys held in memory are out of date.
func KeyEvents() []string {
	return []string{eventsv1.TypeSigningKeyRotated, eventsv1.TypeSigningKeyRevoked}
}

// KeyCacheOptions are the bounds of a KeyCache.
type KeyCacheOptions struct {
	Clock clock.Clock
	// Fresh is the age from which keys are fetched again, while those at hand still serve.
	Fresh time.Duration
	// Stale is the age beyond which they do not serve any more; 0 is no bound. While auth is away, other services use
	// their keys without a bound (remote.go); how long they take the tokens: docs/architecture.md, "When something is
	// away".
	Stale time.Duration
	// Link reports whether the events of KeyEvents arrive. While they do not, keys are used for cache.UnlinkedFor;
	// while they are merely not prompt, keys of half that age are fetched again. Nil counts as alive and prompt.
	Link cache.Link
}

// KeyCache holds the keys of S in memory in front of their source. It is safe for concurrent use. A cache.Cache would
// not do: an unknown kid wants a fetch that starts after the question, and however many are asked for, fetches must be
// few.
type KeyCache[S any] struct {
	opts  KeyCacheOptions
	fetch func(ctx context.Context) (S, error)
	held  atomic.Pointer[heldKeys[S]]

	mu      sync.Mutex
	next    *fetching[S] // is yet to start; nil: none is wanted
	started time.Time    // when the last one did
	fetches int          // how many have
	newest  int          // what an earlier one brings is not kept
}

type heldKeys[S any] struct {
	keys   S
	loaded time.Time // when the fetch started: a change after that moment may be missing
}

// fetching is one fetch that any number of callers wait for, all of whom came before it started.
type fetching[S any] struct {
	done chan struct{}
	keys S
	err  error
}

// NewKeyCache makes an empty cache. Let it learn of changes by OnEvent and OnGap.
func NewKeyCache[S any](opts KeyCacheOptions, fetch func(ctx context.Context) (S, error)) *KeyCache[S] {
	return &KeyCache[S]{opts: opts, fetch: fetch}
}

// Get returns keys that serve and for which enough holds; nil is always. What memory holds is returned at once;
// otherwise the caller waits, no longer than ctx, for a fetch that starts after the call, so its answer is final also
// where enough still does not hold. It fails with what fetch failed with, or with apierr.ErrUnavailable when ctx
// ends.
func (c *KeyCache[S]) Get(ctx context.Context, enough func(S) bool) (S, error) {
	held := c.held.Load()
	if held != nil && c.younger(held, c.opts.Stale, cache.UnlinkedFor, cache.Link.Alive) &&
		(enough == nil || enough(held.keys)) {
		if !c.younger(held, c.opts.Fresh, cache.UnlinkedFor/2, cache.Link.Prompt) {
			c.join() // those who come later have the benefit
		}
		return held.keys, nil
	}
	f := c.join()
	select {
	case <-f.done:
		return f.keys, f.err
	case <-ctx.Done():
		var none S
		return none, apierr.ErrUnavailable.WithCause(ctx.Err())
	}
}

// OnEvent forgets all keys when they have changed.
func (c *KeyCache[S]) OnEvent(e event.Event) {
	if slices.Contains(KeyEvents(), e.Type) {
		c.Drop()
	}
}

// OnGap forgets all keys: a revocation may have been missed.
func (c *KeyCache[S]) OnGap() { c.Drop() }

// Drop forgets all keys. What a fetch under way brings is not kept.
func (c *KeyCache[S]) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = c.fetches
	c.held.Store(nil)
}

// younger reports whether keys are younger than bound, and than unlinked where the link is not as it must be. Those
// from the future are not: the clock was set back.
func (c *KeyCache[S]) younger(h *heldKeys[S], bound, unlinked time.Duration, must func(cache.Link) bool) bool {
	if c.opts.Link != nil && !must(c.opts.Link) && (bound == 0 || bound > unlinked) {
		bound = unlinked
	}
	age := c.opts.Clock.Now().Sub(h.loaded)
	return age >= 0 && (bound == 0 || age < bound)
}

// join returns the fetch that is about to start.
func (c *KeyCache[S]) join() *fetching[S] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &fetching[S]{done: make(chan struct{})}
		// Of no caller's context: each of them may leave while others wait.
		go c.run(c.next, time.Until(c.started.Add(fetchEvery)))
	}
	return c.next
}

func (c *KeyCache[S]) run(f *fetching[S], wait time.Duration) {
	defer close(f.done)
	time.Sleep(wait)
	number, now := c.start()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	if f.keys, f.err = c.fetch(ctx); f.err == nil {
		c.keep(number, &heldKeys[S]{f.keys, now})
	}
}

func (c *KeyCache[S]) start() (number int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.started = nil, time.Now()
	c.fetches++
	return c.fetches, c.opts.Clock.Now()
}

func (c *KeyCache[S]) keep(number int, h *heldKeys[S]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number > c.newest {
		c.newest = number
		c.held.Store(h)
	}
}
