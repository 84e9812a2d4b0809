// Package ingest takes events from the bus: into the received events, the rollups and the detectors, each event once in
// effect, whatever is delivered twice, late or after a crash. Once is by the inbox, the table of the ids of all events
// that were taken in.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Consumer handles the events of the queue. Of all consumers, in all processes, one works at a time; epochs keep a
// consumer from writing that does not know yet that it has been replaced.
type Consumer struct {
	store  Store
	clock  clock.Clock
	log    *slog.Logger
	engine detect.Engine
	bounds bounds

	mu     sync.Mutex
	memory *memory // nil before the first batch and after one that failed
	// repeats says that the next batch may hold events that were taken in before: after a start, a failure, and a
	// batch that held some. Such events come in a row, as after "license republish". Otherwise the inbox is not asked
	// first: a batch with one of the few that come fails with usage.ErrRepeated, and is taken again without it.
	repeats bool
}

// memory is what is known between batches: everything as it was last committed.
type memory struct {
	epoch int64
	// position counts the events that were taken in.
	position int64
	rollups  *rollupCache
	states   *stateCache
	// erasures are those of the licenses of erased customers.
	erasures map[string][]usage.Erasure
}

// New returns a consumer that detects with engine.
func New(store Store, engine detect.Engine, c clock.Clock, log *slog.Logger) *Consumer {
	return &Consumer{store: store, clock: c, log: log, engine: engine, bounds: defaultBounds, repeats: true}
}

// Handle is a bus.Handler. Events that can never be stored are rejected and become dead letters at once (bus.Rejected),
// the others of their batch are committed. Events of unknown types are stored and counted (decode.Event).
func (c *Consumer) Handle(ctx context.Context, events []event.Event) error {
	now := c.clock.Now()
	decoded, rejected := make([]usage.Event, 0, len(events)), bus.Rejected{}
	for i := range events {
		e, err := read(events[i], now)
		if err != nil {
			rejected[i] = err
			continue
		}
		decoded = append(decoded, e)
	}
	decoded = inOrder(decoded)
	erasures, err := erasuresIn(decoded)
	if err != nil {
		return err
	}
	if err := c.takeNew(ctx, now, decoded); err != nil {
		return err
	}
	if err := c.erase(ctx, erasures); err != nil {
		return err
	}
	return rejected.OrNil()
}

// grownAtOnce is how many findings are described anew in one transaction.
const grownAtOnce = 500

// DescribeGrown writes what is known by now of findings that have grown since they were told: without further events
// nothing else would. A consumer that has been replaced drops them.
func (c *Consumer) DescribeGrown(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory == nil {
		return nil
	}
	grown := c.memory.states.grown
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(grown)), grownAtOnce) {
		findings := make([]detect.Finding, len(keys))
		for i, k := range keys {
			findings[i] = grown[k]
		}
		err := c.store.Describe(ctx, c.clock.Now(), c.memory.epoch, findings)
		if errors.Is(err, usage.ErrFenced) {
			c.forget()
			return nil
		}
		if err != nil {
			return fmt.Errorf("describe findings that have grown: %w", err)
		}
		for _, k := range keys {
			delete(grown, k)
		}
	}
	return nil
}

// WriteStates writes detector states that have been unwritten for too long, where no batch comes that would. A consumer
// that has been replaced drops them.
func (c *Consumer) WriteStates(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory == nil || !c.memory.states.aged() {
		return nil
	}
	return c.commitStates(ctx)
}

// Finish writes all detector states that are unwritten, when no batch will follow. The next start has nothing to judge
// again then, and received events can be pruned though it takes in no other. A consumer that has been replaced drops
// them.
func (c *Consumer) Finish(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory == nil || len(c.memory.states.changes) == 0 {
		return nil
	}
	return c.writeAllStates(ctx)
}

// Settle writes the detector states that a consumer which was killed left unwritten, where nothing has happened since a
// time: received events of before could not be pruned, as no batch comes that would write them. It takes over for that.
func (c *Consumer) Settle(ctx context.Context, since time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory != nil && len(c.memory.states.changes) > 0 {
		return nil
	}
	left, err := c.store.Unsettled(ctx, since)
	if err != nil || !left {
		return err
	}
	c.forget() // what is in memory is of before another consumer took over
	if c.memory, err = c.resume(ctx); err != nil {
		return err
	}
	err = c.writeAllStates(ctx)
	c.forget() // this consumer does not go on
	return err
}

// writeAllStates writes all states that are unwritten, some with each commit, or what it can until another consumer
// takes over.
func (c *Consumer) writeAllStates(ctx context.Context) error {
	states := c.memory.states
	states.allDue = true
	for {
		if err := c.commitStates(ctx); err != nil || c.memory == nil || len(states.changes) == 0 {
			return err
		}
	}
}

// commitStates writes the states that are due, without a batch.
func (c *Consumer) commitStates(ctx context.Context) error {
	m, repeats := c.memory, c.repeats
	c.forget()
	alone := &usage.Batch{Epoch: m.epoch, Position: m.position, Changes: usage.Fold(nil)}
	err := c.commit(ctx, c.clock.Now(), m, alone)
	if errors.Is(err, usage.ErrFenced) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write detector states: %w", err)
	}
	c.repeats = repeats
	return nil
}

// inOrder sorts events by time and id, and drops those that are there twice.
func inOrder(events []usage.Event) []usage.Event {
	slices.SortFunc(events, func(a, b usage.Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.EventID, b.EventID))
	})
	return slices.CompactFunc(events, func(a, b usage.Event) bool { return a.EventID == b.EventID })
}

// takeNew takes in those of events that were not taken in before.
func (c *Consumer) takeNew(ctx context.Context, now time.Time, events []usage.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.repeats {
		err := c.take(ctx, now, events)
		if !errors.Is(err, usage.ErrRepeated) {
			return err
		}
	}
	taken, err := c.store.Taken(ctx, events)
	if err != nil {
		return fmt.Errorf("ask the inbox: %w", err)
	}
	fresh := slices.DeleteFunc(events, func(e usage.Event) bool { return taken[e.EventID] })
	if err := c.take(ctx, now, fresh); err != nil {
		return err
	}
	c.repeats = len(taken) > 0
	return nil
}

// take takes in events that are new, in order. What it remembers is dropped until they are committed.
func (c *Consumer) take(ctx context.Context, now time.Time, events []usage.Event) error {
	if len(events) == 0 {
		return nil
	}
	m, err := c.resume(ctx)
	if err != nil {
		return err
	}
	c.forget()
	if err := m.clean(events); err != nil {
		return err
	}
	b := &usage.Batch{
		Epoch:    m.epoch,
		Events:   events,
		Position: m.position + int64(len(events)),
		Changes:  usage.Fold(events),
	}
	if b.Before, err = m.rollups.load(ctx, c.store, b.Changes); err != nil {
		return fmt.Errorf("read rollups: %w", err)
	}
	b.Changes.Complete(b.Before)
	if err := m.states.load(ctx, c.store, subjectsOf(events)); err != nil {
		return err
	}
	if err := m.states.rewind(ctx, c.store, b, now.Add(trustedAhead)); err != nil {
		return err
	}
	b.Findings = m.states.detect(b)
	if err := c.commit(ctx, now, m, b); err != nil {
		return err
	}
	c.repeats = false
	return nil
}

// commit writes the batch, and the states that are due with it, and remembers m.
func (c *Consumer) commit(ctx context.Context, now time.Time, m *memory, b *usage.Batch) (err error) {
	if b.States, b.ReplayAfter, err = m.states.due(b.Position); err != nil {
		return err
	}
	if err := c.store.Write(ctx, now, b); err != nil {
		return err
	}
	m.position = b.Position
	m.rollups.keep(b.Changes.Rollups)
	m.states.evict()
	c.memory = m
	return nil
}

// forget has the next batch read everything again.
func (c *Consumer) forget() { c.memory, c.repeats = nil, true }

// resume makes this the one consumer unless it is, and brings the detectors to where the last one was.
func (c *Consumer) resume(ctx context.Context) (*memory, error) {
	if c.memory != nil {
		return c.memory, nil
	}
	p, err := c.store.TakeOver(ctx)
	if err != nil {
		return nil, fmt.Errorf("take over the consumption of events: %w", err)
	}
	m := &memory{epoch: p.Epoch, position: p.Taken, rollups: newRollupCache(c.bounds.rollups)}
	if m.erasures, err = c.store.Erasures(ctx); err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	m.states = newStateCache(c.engine, c.clock, c.bounds, c.log)
	if err := m.states.replay(ctx, c.store, p.ReplayAfter); err != nil {
		return nil, fmt.Errorf("replay events to the detectors: %w", err)
	}
	return m, nil
}
