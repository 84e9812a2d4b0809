// Package cache keeps values in memory in front of a slower source, for reads that must cost next to nothing: a hit is
// a table look-up without allocation. Options say how long a value is fresh (TTL), how long it is served while the
// source is unavailable (Stale), and how long while no invalidations can arrive (Unlinked).
package cache

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	// loadTimeout bounds a load that callers cannot do without. It is shorter than the time of a request, which the
	// caller that carries out the load for all must keep.
	loadTimeout = 1500 * time.Millisecond
	// reloadTimeout bounds a load while an older value is at hand, and retryEvery how often such a load is tried, so
	// that a source that hangs slows down one call a second and not every one.
	reloadTimeout = time.Second
	retryEvery    = time.Second
)

const (
	// UnlinkedFor is how long what a service keeps in memory is used while no invalidations arrive.
	UnlinkedFor = 5 * time.Second
	// PeerAwayFor is how long what a peer service answered is used while that service is away.
	PeerAwayFor = 15 * time.Minute
)

// Options are the bounds of a cache.
type Options struct {
	// Capacity is the number of values kept, by New; Bytes is the memory that they take, by NewSized. The least useful
	// leave first.
	Capacity int
	Bytes    int64
	// TTL is how long a value is served without asking again.
	TTL time.Duration
	// Stale, when longer than TTL, is how long a value is served while the source is unavailable.
	Stale time.Duration
	// Unlinked, when positive, caps TTL and Stale while Link is not alive, and TTL alone while it is not prompt.
	Unlinked time.Duration
	// Link reports whether invalidations arrive. Nil counts as alive and prompt.
	Link Link
	// Apart tells that what a caller loads is for this caller alone: it reads within a transaction, whose changes may
	// never be committed. Nil for nobody.
	Apart func(ctx context.Context) bool
}

// Link is the path of invalidations. bus.Link, which notices a silence after bus.Silence, is one.
type Link interface {
	// Alive reports whether the invalidations that the bus has taken arrive.
	Alive() bool
	// Prompt reports whether, beyond that, the bus takes those of the source at this moment. It may be false because
	// the source is down; that only makes values reload, and they still serve until Options.Stale.
	Prompt() bool
}

// Loader reads a value from the source.
type Loader[V any] func(ctx context.Context) (V, error)

// Cache holds values of V by K. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	opts   Options
	clock  clock.Clock
	values *otter.Cache[K, *entry[V]]
	counts *stats.Counter
	// retry is the moment, in Unix microseconds, before which no value that is good enough is loaded again: the source
	// was unavailable.
	retry atomic.Int64
	mu    sync.Mutex // guards loads, and makes keeping a value and dropping it exclude one another
	loads map[K]*loading[V]
}

// entry is a value and its age in Unix microseconds, counted from the start of its load: a change after that moment may
// be missing.
type entry[V any] struct {
	value  V
	loaded atomic.Int64             // gone once the cache has let go of it
	place  atomic.Pointer[Place[V]] // where it is held, nil for nowhere
}

// gone, a load time in the far future, marks an entry that was dropped: younger never serves those.
const gone = math.MaxInt64

// letGo ends an entry, also where it is held.
func (e *entry[V]) letGo() {
	e.loaded.Store(gone)
	if p := e.place.Load(); p != nil {
		p.entry.CompareAndSwap(e, nil)
	}
}

// loading is one load that several callers may wait for.
type loading[V any] struct {
	done    chan struct{}
	value   V
	err     error
	dropped bool // guarded by Cache.mu
}

// entryBytes is what an entry takes beside what its key and value refer to: its place in the table, the node with its
// links, and ours.
const entryBytes = 180

// New makes an empty cache of so many values. A capacity below one counts as one.
func New[K comparable, V any](opts Options, c clock.Clock) *Cache[K, V] {
	return newCache(opts, c, &otter.Options[K, *entry[V]]{MaximumSize: max(opts.Capacity, 1)})
}

// NewSized makes an empty cache that is bounded by memory. size is the number of bytes that a key and its value refer
// to; what the cache itself needs for an entry is added. A value that does not fit at all is returned to the caller
// that fetched it, and not kept.
func NewSized[K comparable, V any](opts Options, c clock.Clock, size func(K, V) int) *Cache[K, V] {
	return newCache(opts, c, &otter.Options[K, *entry[V]]{
		MaximumWeight: uint64(max(opts.Bytes, 1)),
		Weigher: func(k K, e *entry[V]) uint32 {
			return uint32(min(entryBytes+size(k, e.value), math.MaxUint32))
		},
	})
}

func newCache[K comparable, V any](opts Options, c clock.Clock, bound *otter.Options[K, *entry[V]]) *Cache[K, V] {
	bound.OnAtomicDeletion = func(e otter.DeletionEvent[K, *entry[V]]) { e.Value.letGo() } // of whatever cause
	counts := stats.NewCounter()
	bound.StatsRecorder = counts
	return &Cache[K, V]{
		opts: opts, clock: c, values: otter.Must(bound), counts: counts, loads: map[K]*loading[V]{},
	}
}

// Counts are the look-ups so far that found a value, and those that did not. Reads of a Place are not among them.
func (c *Cache[K, V]) Counts() (hits, misses uint64) {
	s := c.counts.Snapshot()
	return s.Hits, s.Misses
}

// Bytes is the memory that the values of a sized cache take, once those that had to leave have left.
func (c *Cache[K, V]) Bytes() int64 {
	c.values.CleanUp()
	return int64(c.values.WeightedSize())
}

// Peek returns the value of k if it is fresh. It never loads, and allocates nothing.
func (c *Cache[K, V]) Peek(k K) (V, bool) {
	e, ok := c.values.GetIfPresent(k)
	if !ok || !c.fresh(e, c.clock.Now().UnixMicro()) {
		var none V
		return none, false
	}
	return e.value, true
}

// Place holds a value of a cache, so that anyone who has the place need not look the value up again. It is empty at
// first, and the cache empties it when it evicts or drops the value. It must not be copied.
type Place[V any] struct{ entry atomic.Pointer[entry[V]] }

// Hold puts what the cache has for k, if that is fresh, into p, and takes it out of any other place.
func (c *Cache[K, V]) Hold(k K, p *Place[V]) {
	e, ok := c.values.GetIfPresent(k)
	if !ok || !c.fresh(e, c.clock.Now().UnixMicro()) {
		return
	}
	if other := e.place.Swap(p); other != nil {
		other.entry.CompareAndSwap(e, nil)
	}
	p.entry.Store(e)
	// Another goroutine may have dropped the entry meanwhile, or put it elsewhere, before p had it.
	if e.loaded.Load() == gone || e.place.Load() != p {
		p.entry.CompareAndSwap(e, nil)
	}
}

// Held is Peek of the value in p. After a Drop, or when the cache has put another value in its place, there is none.
func (c *Cache[K, V]) Held(p *Place[V]) (v V, ok bool) {
	e := p.entry.Load()
	if e == nil || !c.fresh(e, c.clock.Now().UnixMicro()) {
		return v, false
	}
	return e.value, true
}

// Fetch returns the value of k, loading it if need be; callers of the same key share one load, which outlives their
// contexts and ends after a second and a half at the latest. Errors are not kept. A value past its TTL is loaded again;
// if that fails with apierr.Unavailable or by running out of time, the old value is served until Options.Stale. cached
// reports whether the answer came from memory. A caller that is apart gets what is fresh in memory, or a load of its
// own.
func (c *Cache[K, V]) Fetch(ctx context.Context, k K, load Loader[V]) (v V, cached bool, err error) {
	now := c.clock.Now().UnixMicro()
	e, ok := c.values.GetIfPresent(k)
	if ok && c.fresh(e, now) {
		return e.value, true, nil
	}
	if c.opts.Apart != nil && c.opts.Apart(ctx) {
		v, err = load(ctx)
		return v, false, err
	}
	if !ok || !c.servable(e, now) {
		return c.load(ctx, k, loadTimeout, load)
	}
	return c.reload(ctx, k, e, load)
}

// reload asks the source again while old is good enough to fall back on.
func (c *Cache[K, V]) reload(ctx context.Context, k K, old *entry[V], load Loader[V]) (V, bool, error) {
	// One further away than retryEvery is from before the clock was set back.
	if wait := c.retry.Load() - c.clock.Now().UnixMicro(); wait > 0 && wait <= retryEvery.Microseconds() {
		return old.value, true, nil
	}
	v, cached, err := c.load(ctx, k, reloadTimeout, load)
	if err == nil || !away(err) {
		return v, cached, err
	}
	now := c.clock.Now()
	c.retry.Store(now.Add(retryEvery).UnixMicro())
	// The load took time, and a drop may have come meanwhile.
	if kept, ok := c.values.GetIfPresent(k); !ok || kept != old || !c.servable(old, now.UnixMicro()) {
		return v, false, err
	}
	return old.value, true, nil
}

// Drop forgets k. A load of k under way is not kept either, and callers that come later start another.
func (c *Cache[K, V]) Drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.loads[k]; l != nil {
		l.dropped = true
		delete(c.loads, k)
	}
	c.values.Invalidate(k)
}

// DropUnless is Drop, except that a value for which keep is true stays: it already shows what has changed.
func (c *Cache[K, V]) DropUnless(k K, keep func(V) bool) {
	if e, ok := c.values.GetIfPresent(k); ok && keep(e.value) {
		return
	}
	c.Drop(k)
}

// DropIf forgets the values for which matches is true. Loads under way are not kept, as nobody knows yet what they
// bring. It looks at every value: it is for changes that are rare.
func (c *Cache[K, V]) DropIf(matches func(K, V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLoads()
	for k, e := range c.values.All() {
		if matches(k, e.value) {
			c.values.Invalidate(k)
		}
	}
}

// DropAll forgets everything, loads under way included.
func (c *Cache[K, V]) DropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLoads()
	c.values.InvalidateAll()
}

// dropLoads marks the loads under way as dropped, so that what they bring is not kept; the caller holds mu.
func (c *Cache[K, V]) dropLoads() {
	for _, l := range c.loads {
		l.dropped = true
	}
	clear(c.loads)
}

// load waits for the load of k that is under way, carries out a new one, or returns what another has loaded since the
// caller looked.
func (c *Cache[K, V]) load(
	ctx context.Context, k K, limit time.Duration, load Loader[V],
) (v V, cached bool, err error) {
	found, l, mine := c.join(k)
	switch {
	case found != nil:
		return found.value, true, nil
	case mine:
		v, err = c.carryOut(ctx, k, l, limit, load)
		return v, false, err
	}
	select {
	case <-l.done:
		return l.value, false, l.err
	case <-ctx.Done():
		return v, false, apierr.ErrUnavailable.WithCause(ctx.Err())
	}
}

// join returns the load of k that is under way, or a new one that the caller has to carry out; but a fresh value
// instead when a load has ended since the caller looked.
func (c *Cache[K, V]) join(k K) (found *entry[V], l *loading[V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.loads[k]; l != nil {
		return nil, l, false
	}
	// Quietly, so that the look-up is not counted twice.
	if e, ok := c.values.GetEntryQuietly(k); ok && c.fresh(e.Value, c.clock.Now().UnixMicro()) {
		return e.Value, nil, false
	}
	l = &loading[V]{done: make(chan struct{}), err: apierr.ErrInternal}
	c.loads[k] = l
	return nil, l, true
}

// carryOut carries out a load for everyone who waits for it, also when load panics.
func (c *Cache[K, V]) carryOut(
	ctx context.Context, k K, l *loading[V], limit time.Duration, load Loader[V],
) (V, error) {
	started := c.clock.Now().UnixMicro()
	defer func() { c.finish(k, l, started) }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	l.value, l.err = load(ctx)
	return l.value, l.err
}

// finish keeps what was loaded unless it failed or was dropped meanwhile, and wakes those who wait.
func (c *Cache[K, V]) finish(k K, l *loading[V], started int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.dropped {
		delete(c.loads, k)
		switch {
		case l.err == nil:
			e := &entry[V]{value: l.value}
			e.loaded.Store(started)
			c.values.Set(k, e)
		case !away(l.err):
			c.values.Invalidate(k) // the source has answered: the old value does not hold any more
		}
	}
	close(l.done)
}

func (c *Cache[K, V]) fresh(e *entry[V], now int64) bool {
	return younger(e, now, c.bound(c.opts.TTL, Link.Prompt))
}

func (c *Cache[K, V]) servable(e *entry[V], now int64) bool {
	return younger(e, now, c.bound(max(c.opts.TTL, c.opts.Stale), Link.Alive))
}

// younger reports whether a value is younger than bound. One from the future is of unknown age: the clock was set back.
func younger[V any](e *entry[V], now, bound int64) bool {
	age := now - e.loaded.Load()
	return age >= 0 && age < bound
}

// bound is the age limit d in microseconds, cut short while the link is not as it must be for it.
func (c *Cache[K, V]) bound(d time.Duration, must func(Link) bool) int64 {
	if c.opts.Unlinked > 0 && c.opts.Unlinked < d && c.opts.Link != nil && !must(c.opts.Link) {
		d = c.opts.Unlinked
	}
	return d.Microseconds()
}

// away reports whether err means that the source could not answer.
func away(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var e *apierr.Error
	return errors.As(err, &e) && e.Kind == apierr.Unavailable
}
