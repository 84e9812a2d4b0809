package db

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const (
	// queueTime is how long a call waits for a connection before it is refused: anyone who is let in shall be answered
	// within a second.
	queueTime = 700 * time.Millisecond
	// maxQueue is how many calls wait at most; the next one is refused at once.
	maxQueue = 4096
	// longWork is the time from which a unit counts as long: reports, bulk changes and what runs in the background.
	// Half of the connections stay free of it, and it waits as long as its own deadline allows.
	longWork = 5 * time.Second
)

var errBusy = errors.New("no connection to the database came free in time")

// gate lets no more calls to a pool than it has connections, and bounds how many wait before it and how long, so that a
// slow or silent server costs a bounded amount of memory and the rest is refused while its caller still listens.
type gate struct {
	slots   chan struct{} // one per connection
	long    chan struct{} // how many of them long work may have
	waiting atomic.Int64
	refused atomic.Uint64
}

func newGate(conns int) *gate {
	return &gate{slots: make(chan struct{}, conns), long: make(chan struct{}, max(1, conns/2))}
}

// enter waits for a turn; anyone who gets it calls leave. The error is apierr.ErrUnavailable.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < longWork {
		return g.enterShort(ctx)
	}
	if err := take(ctx, g.long); err != nil {
		return nil, g.refuse(err)
	}
	if err := take(ctx, g.slots); err != nil {
		<-g.long
		return nil, g.refuse(err)
	}
	return func() { <-g.slots; <-g.long }, nil
}

func (g *gate) enterShort(ctx context.Context) (leave func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return g.leave, nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > maxQueue {
		return nil, g.refuse(errBusy)
	}
	limited, cancel := context.WithTimeoutCause(ctx, queueTime, errBusy)
	defer cancel()
	if err := take(limited, g.slots); err != nil {
		return nil, g.refuse(err)
	}
	return g.leave, nil
}

func (g *gate) leave() { <-g.slots }

func (g *gate) refuse(why error) error {
	if errors.Is(why, context.Canceled) {
		return why // the caller has gone
	}
	g.refused.Add(1)
	return apierr.ErrUnavailable.WithCause(why)
}

func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pool is a *sql.DB behind a gate, for gorm. A transaction has its turn from its unit, for as long as it lasts.
type pool struct {
	*sql.DB
	gate *gate
}

// GetDBConn implements gorm.GetDBConnector.
func (p pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ExecContext implements gorm.ConnPool.
func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	leave, err := p.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return p.DB.ExecContext(ctx, query, args...)
}

// QueryContext implements gorm.ConnPool.
func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	leave, err := p.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return p.DB.QueryContext(ctx, query, args...)
}
