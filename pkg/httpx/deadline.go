package httpx

import (
	"context"
	"sync"
	"time"
)

// deadlineContext, whose time is DefaultTimeout or the Timeout of a route, is context.WithDeadline without a timer
// until somebody waits for it: a request that is answered from memory never does, and saves six allocations.
type deadlineContext struct {
	context.Context
	deadline time.Time

	mu    sync.Mutex // guards the rest: a handler may hand its context to other goroutines
	timed context.Context
	stop  context.CancelFunc
	ended bool
}

func newDeadlineContext(parent context.Context, deadline time.Time) *deadlineContext {
	return &deadlineContext{Context: parent, deadline: deadline}
}

// Deadline implements context.Context.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if d, ok := c.Context.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} { return c.withTimer().Done() }

// Err implements context.Context.
func (c *deadlineContext) Err() error { return c.withTimer().Err() }

// Value implements context.Context. Once there is a timer, its context answers: there package context finds the parent
// of a child, for which it would start a goroutine otherwise.
func (c *deadlineContext) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

func (c *deadlineContext) withTimer() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = context.WithDeadline(c.Context, c.deadline)
		if c.ended {
			c.stop()
		}
	}
	return c.timed
}

// cancel ends the context; what a handler left running notices.
func (c *deadlineContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}
