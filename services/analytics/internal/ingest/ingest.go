// Package ingest takes events from the bus: into the log, the rollups and the detectors, each event once in effect,
// whatever is delivered twice, late or after a crash.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Store is what ingest needs from persistence.
type Store interface {
	// TakeOver makes the caller the one consumer and returns its epoch, at least 1.
	TakeOver(ctx context.Context) (epoch int64, err error)
	// Commit takes in those of events that were not taken before, in one transaction, and fails when the epoch is over.
	Commit(ctx context.Context, epoch int64, now time.Time, events []usage.Event, judge usage.Judge) (taken int, err error)
}

// Consumer handles the events of the queue. Of all consumers, in all processes, one works at a time; epochs keep one that
// does not know that it was replaced from writing.
type Consumer struct {
	store Store
	clock clock.Clock
	log   *slog.Logger

	mu     sync.Mutex
	memory *memory
	epoch  int64 // 0 before the first batch and after a failure
	engine detect.Engine
}

// New returns a consumer that detects with engine.
func New(store Store, engine detect.Engine, c clock.Clock, log *slog.Logger) *Consumer {
	return &Consumer{store: store, clock: c, log: log, engine: engine, memory: newMemory(engine, log)}
}

// Handle is a bus.Handler. Events that can never be stored are rejected, the others of their batch committed.
func (c *Consumer) Handle(ctx context.Context, events []event.Event) error {
	now := c.clock.Now()
	decoded, rejected := make([]usage.Event, 0, len(events)), bus.Rejected{}
	for i := range events {
		e, err := decode(events[i], now)
		if err != nil {
			rejected[i] = err
			continue
		}
		decoded = append(decoded, e)
	}
	if len(decoded) > 0 {
		if err := c.commit(ctx, now, decoded); err != nil {
			return err
		}
	}
	return rejected.OrNil()
}

func (c *Consumer) commit(ctx context.Context, now time.Time, events []usage.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == 0 {
		epoch, err := c.store.TakeOver(ctx)
		if err != nil {
			return fmt.Errorf("take over the consumption of events: %w", err)
		}
		c.epoch, c.memory = epoch, newMemory(c.engine, c.log)
	}
	if _, err := c.store.Commit(ctx, c.epoch, now, events, c.memory.judge); err != nil {
		if errors.Is(err, usage.ErrFenced) {
			c.epoch = 0
		}
		return err
	}
	c.memory.keep()
	return nil
}
