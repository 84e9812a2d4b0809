package httpx

import (
	"context"
	"sync"
	"time"
)

// deadlineContext, whose time is DefaultTimeout or the Timeout of a route, is context.WithDeadline without a timer
// until somebody waits for it: a request that is answered from memory never does, and saves six allocations.
//
// A caller who leaves early does not end it, unless the route takes longer than DefaultTimeout. What is cut off would
// cost more than what is carried out: a driver closes the connection of a statement that is canceled, and PostgreSQL
// starts a process for the next one.
type deadlineContext struct {
	context.Context
	deadline time.Time
	// lasts is false where the end of the parent is the end of this one as well.
	lasts bool

	mu    sync.Mutex // guards the rest: a handler may hand its context to other goroutines
	timed context.Context
	stop  context.CancelFunc
	ended bool
}

func newDeadlineContext(parent context.Context, start time.Time, timeout time.Duration) *deadlineContext {
	return &deadlineContext{Context: parent, deadline: start.Add(timeout), lasts: timeout <= DefaultTimeout}
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
		parent := c.Context
		if c.lasts {
			parent = context.WithoutCancel(parent)
		}
		deadline, _ := c.Deadline()
		c.timed, c.stop = context.WithDeadline(parent, deadline)
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
