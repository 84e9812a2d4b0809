// Package batch carries out concurrent calls together: what arrives while a batch is under way forms the next one. A
// call that comes alone goes at once.
package batch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Options are the bounds of a batcher.
type Options struct {
	// Name is what traces call a batch.
	Name string
	// Size is how many items go together at most.
	Size int
	// MaxConcurrent is how many batches run at once, so that one is at work while another waits for a disk.
	MaxConcurrent int
	// MinExtra is how many must wait for a batch to begin beside another: small ones would give up what going together
	// saves.
	MinExtra int
	// Linger is how long a worker whose last batch had several items waits at most for as many to come again. Callers
	// in a loop come back a moment after their answer; without the wait the first of them would get its own batch.
	// Zero never waits.
	Linger time.Duration
	// Patience is how long an item waits in the queue before Do gives it up with ErrBusy; 0 is forever. As long as all
	// that wait fit into the next batch, nothing is given up: then the database is slow, and there are not too many
	// items. Half of it is random, so that items which came together do not run out together and come back as one
	// burst. While more items wait than fit into crowd batches, the newest go first: most of the older ones would run
	// out in any case, and those that get in have then waited far less.
	Patience time.Duration
}

// crowd is how many batches may wait before the newest go first.
const crowd = 4

// ErrBusy is the answer to an item that was not carried out, because too many were before it.
var ErrBusy = apierr.ErrUnavailable.WithCause(errors.New("too many calls wait to be carried out together"))

// Batcher carries out items of T in batches; each of which gets an R. It is safe for concurrent use.
type Batcher[K comparable, T, R any] struct {
	opts Options
	key  func(T) K
	run  func(ctx context.Context, batch []T) ([]R, error)

	mu      sync.Mutex
	waiting []*call[K, T, R] // in the order of arrival
	busy    map[K]bool       // the keys of the batches under way
	workers int
	awaited int           // how many must wait for a worker that lingers to go on
	enough  chan struct{} // tells it so
}

type call[K comparable, T, R any] struct {
	ctx    context.Context
	key    K
	item   T
	begun  bool          // guarded by Batcher.mu: a batch has it
	done   chan struct{} // closed when result and err are there
	result R
	err    error
}

// New returns a batcher over run, which gives the result of every item, in their order, or an error that is everyone's.
// The context of run has the trace of a caller, and nothing else of any: it must set its own deadline. Items with the
// same key are never in two batches at once.
func New[K comparable, T, R any](
	opts Options, key func(T) K, run func(ctx context.Context, batch []T) ([]R, error),
) *Batcher[K, T, R] {
	return &Batcher[K, T, R]{opts: opts, key: key, run: run, busy: map[K]bool{}, enough: make(chan struct{}, 1)}
}

// Do has item carried out and returns its result. When ctx ends first, Do returns its error: an item whose batch has
// not begun is left out, any other is carried out all the same.
func (g *Batcher[K, T, R]) Do(ctx context.Context, item T) (R, error) {
	c := &call[K, T, R]{ctx: ctx, key: g.key(item), item: item, done: make(chan struct{})}
	g.add(c)
	var (
		timer    *time.Timer
		patience <-chan time.Time
	)
	if g.opts.Patience > 0 {
		timer = time.NewTimer(g.opts.Patience/2 + rand.N(g.opts.Patience/2))
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case <-c.done:
			return c.result, c.err
		case <-patience:
			if g.giveUp(c) {
				return c.result, ErrBusy
			}
			timer.Reset(g.opts.Patience / 2)
		case <-ctx.Done():
			var none R
			return none, ctx.Err()
		}
	}
}

// giveUp takes c out of those who wait, if these are too many, and reports whether it did.
func (g *Batcher[K, T, R]) giveUp(c *call[K, T, R]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.begun || len(g.waiting) <= g.opts.Size {
		return false
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(other *call[K, T, R]) bool { return other == c })
	return true
}

func (g *Batcher[K, T, R]) add(c *call[K, T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	if g.awaited > 0 && len(g.waiting) >= g.awaited {
		g.awaited = 0
		g.enough <- struct{}{}
	}
	if g.workers == 0 || g.workers < g.opts.MaxConcurrent && len(g.waiting) >= g.opts.MinExtra {
		g.workers++
		go g.work()
	}
}

// work carries out batches until there is none for it. What then still waits is too little, or has the key of a batch
// under way: the worker of a batch under way comes for it.
func (g *Batcher[K, T, R]) work() {
	for batch := g.next(nil); len(batch) > 0; batch = g.next(batch) {
		g.carryOut(batch)
		g.linger(len(batch))
	}
}

// linger waits until n items wait, at most Options.Linger. One worker at a time does.
func (g *Batcher[K, T, R]) linger(n int) {
	if g.opts.Linger <= 0 || n < 2 || !g.await(n) {
		return
	}
	timer := time.NewTimer(g.opts.Linger)
	defer timer.Stop()
	select {
	case <-g.enough:
		return
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.awaited = 0; len(g.enough) > 0 {
		<-g.enough // it came with the timer
	}
}

// await reports whether there is something to wait for.
func (g *Batcher[K, T, R]) await(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.awaited > 0 || len(g.waiting) >= n {
		return false
	}
	g.awaited = n
	return true
}

// next frees the keys of the batch that is done and takes another.
func (g *Batcher[K, T, R]) next(done []*call[K, T, R]) (batch []*call[K, T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range done {
		delete(g.busy, c.key)
	}
	if g.workers > 1 && len(g.waiting) < g.opts.MinExtra {
		g.workers--
		return nil
	}
	batch = g.pick()
	if len(batch) == 0 {
		g.workers--
	}
	return batch
}

// pick takes the next batch, in the order of arrival, out of those who wait; the caller holds mu.
func (g *Batcher[K, T, R]) pick() (batch []*call[K, T, R]) {
	newestFirst := g.opts.Patience > 0 && len(g.waiting) > crowd*g.opts.Size
	if newestFirst {
		slices.Reverse(g.waiting)
	}
	var rest []*call[K, T, R]
	for _, c := range g.waiting {
		switch {
		case c.ctx.Err() != nil: // its caller has gone
		case len(batch) < g.opts.Size && !g.busy[c.key]:
			batch = append(batch, c)
		default:
			rest = append(rest, c)
		}
	}
	if newestFirst {
		slices.Reverse(batch)
		slices.Reverse(rest)
	}
	g.waiting = rest
	for _, c := range batch {
		g.busy[c.key], c.begun = true, true
	}
	return batch
}

func (g *Batcher[K, T, R]) carryOut(batch []*call[K, T, R]) {
	items := make([]T, len(batch))
	var spans trace.Spans
	for i, c := range batch {
		items[i] = c.item
		spans = spans.Join(c.ctx, g.opts.Name)
	}
	results, err := g.safely(spans.Context(context.Background()), items)
	spans.End(err)
	for i, c := range batch {
		if c.err = err; err == nil {
			c.result = results[i]
		}
		close(c.done)
	}
}

// safely makes an error of a panic: a batch has no caller of its own whose goroutine could deal with it.
func (g *Batcher[K, T, R]) safely(ctx context.Context, items []T) (results []R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("batch: panic: %v\n%s", p, debug.Stack())
		}
	}()
	results, err = g.run(ctx, items)
	if err == nil && len(results) != len(items) {
		err = fmt.Errorf("batch: %d results for %d items", len(results), len(items))
	}
	return results, err
}
