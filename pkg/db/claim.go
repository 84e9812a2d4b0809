package db

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// ErrClaimed says that another process has the claim.
var ErrClaimed = errors.New("another process has claimed the database")

// claimTimes are how long a claim takes for what.
type claimTimes struct {
	// retry is the pause before it is tried again to take it, check that between looks at its connection.
	retry, check time.Duration
	// ghost is for how long a claim that was lost with its connection may look taken: so long the server may not know
	// of the end of the connection that had it.
	ghost time.Duration
}

var defaultClaimTimes = claimTimes{retry: time.Second, check: 2 * time.Second, ghost: 30 * time.Second}

// Claim is a lock on a database of PostgreSQL that one process has at a time. It lasts as long as a connection of its
// own, so that no end of a process leaves it behind.
type Claim struct {
	connect func(context.Context) (*pgx.Conn, error)
	id      int64
	log     *slog.Logger
	times   claimTimes
	conn    *pgx.Conn
}

// Claim waits until no other process has the claim of the name. It fails with ErrClaimed when ctx ends before. What
// else keeps it from taking the claim fails at once. It is for PostgreSQL.
func (d *DB) Claim(ctx context.Context, name string) (*Claim, error) {
	if d.connect == nil {
		return nil, errors.New("db: this engine has no claims")
	}
	c := &Claim{connect: d.connect, id: lockID("claim of " + name), log: d.log, times: defaultClaimTimes}
	for try := 1; ; try++ {
		err := c.take(ctx)
		if !errors.Is(err, ErrClaimed) {
			return c, err
		}
		if try == 1 {
			c.log.WarnContext(ctx, "another process uses this database, which one may at a time; waiting for its end",
				"address", d.address)
		}
		if clock.Sleep(ctx, c.times.retry) != nil {
			return nil, err
		}
	}
}

func (c *Claim) take(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return Error(err)
	}
	var free bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", c.id).Scan(&free)
	if err == nil && free {
		c.conn = conn
		return nil
	}
	closeNow(conn)
	if err != nil {
		return Error(err)
	}
	return ErrClaimed
}

// Keep looks after the claim until ctx ends. A claim whose connection was lost it takes again, however long the server
// is away; it fails with ErrClaimed when another process was quicker.
func (c *Claim) Keep(ctx context.Context) error {
	for clock.Sleep(ctx, c.times.check) == nil {
		if c.alive(ctx) {
			continue
		}
		c.log.WarnContext(ctx, "the connection that claims the database was lost; taking the claim again")
		closeNow(c.conn)
		if err := c.retake(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Claim) alive(ctx context.Context) bool {
	asking, cancel := withDeadline(ctx)
	defer cancel()
	return c.conn.Ping(asking) == nil || ctx.Err() != nil
}

// retake fails only when another process has the claim.
func (c *Claim) retake(ctx context.Context) error {
	var taken time.Duration
	for {
		err := c.take(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case !errors.Is(err, ErrClaimed):
			taken = 0
		case taken >= c.times.ghost:
			return err
		}
		taken += c.times.retry
		if clock.Sleep(ctx, c.times.retry) != nil {
			return nil
		}
	}
}

// Close gives the claim back. It must not be called while Keep runs.
func (c *Claim) Close() error {
	closeNow(c.conn)
	return nil
}

func closeNow(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// lockID is the advisory lock of a name; advisory locks are per database.
func lockID(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("latchkey " + name))
	return int64(h.Sum64())
}
