package db

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// ErrClaimed means that another process has a claim that excludes this one.
var ErrClaimed = errors.New("another process has claimed the database")

// claimTimes are the times of a claim.
type claimTimes struct {
	// retry is the pause before it is tried again to take it, check that between looks at its connection. Two looks
	// that a slow server answers late, and the pause between, are to fit into trust. A look that takes longer is not
	// given up for that: with its connection would go the claim.
	retry, check time.Duration
	// trust is for how long a claim counts as held after its connection was last seen to live. A server that hears
	// nothing more of this process gives the claim to another one later than that: see pgClaimant.
	trust time.Duration
	// ghost is for how long our own claim may look like that of another process after its connection was lost: the
	// server has yet to notice.
	ghost time.Duration
}

var defaultClaimTimes = claimTimes{
	retry: time.Second, check: time.Second, trust: 6 * time.Second, ghost: 30 * time.Second,
}

const (
	claimAlone  = "SELECT pg_try_advisory_lock($1)"
	claimShared = "SELECT pg_try_advisory_lock_shared($1)"
)

// Claim is a lock on a PostgreSQL database, held by one process alone or shared by any number. It lasts as long
// as its own connection, so that no process that ends leaves it behind.
type Claim struct {
	connect func(context.Context) (*pgx.Conn, error)
	lock    string
	id      int64
	log     *slog.Logger
	times   claimTimes
	conn    *pgx.Conn

	mu sync.Mutex
	// seen is when the connection was last known to live, zero once it was lost.
	seen time.Time
	// changed is closed when the claim is held no more, or again.
	changed chan struct{}
	// over ends the trust in what was seen.
	over *time.Timer
}

// Claim waits until no other process has the claim of the name, shared or not, and takes it for this one alone. It
// fails with ErrClaimed when ctx ends first. Any other failure to take the claim is returned at once. It is for
// PostgreSQL.
func (d *DB) Claim(ctx context.Context, name string) (*Claim, error) {
	return d.claim(ctx, name, claimAlone)
}

// ClaimShared is Claim, but shared with others.
func (d *DB) ClaimShared(ctx context.Context, name string) (*Claim, error) {
	return d.claim(ctx, name, claimShared)
}

func (d *DB) claim(ctx context.Context, name, lock string) (*Claim, error) {
	if d.connect == nil {
		return nil, errors.New("db: this engine has no claims")
	}
	c := &Claim{
		connect: d.connect,
		lock:    lock,
		id:      lockID("claim of " + name),
		log:     d.log,
		times:   defaultClaimTimes,
		changed: make(chan struct{}),
	}
	for try := 1; ; try++ {
		err := c.take(ctx)
		if err == nil && try > 1 {
			err = c.settle(ctx)
		}
		if !errors.Is(err, ErrClaimed) {
			return c, err
		}
		if try == 1 {
			c.log.WarnContext(ctx, "another process uses this database, and both cannot do so at once; waiting "+
				"for it to stop", "address", d.address)
		}
		if clock.Sleep(ctx, c.times.retry) != nil {
			return nil, err
		}
	}
}

// settle gives who had the claim the time in which it may have lost it unawares. A claim that was lost meanwhile is to
// be taken anew.
func (c *Claim) settle(ctx context.Context) error {
	if clock.Sleep(ctx, c.times.trust) != nil || !c.alive(ctx) {
		_ = c.Close()
		return ErrClaimed
	}
	return nil
}

func (c *Claim) take(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return Error(err)
	}
	var free bool
	asked := time.Now()
	err = conn.QueryRow(ctx, c.lock, c.id).Scan(&free)
	if err == nil && free {
		c.conn = conn
		c.see(asked)
		return nil
	}
	closeNow(conn)
	if err != nil {
		return Error(err)
	}
	return ErrClaimed
}

// Held reports whether no process that the claim excludes can have it at this moment. It needs Keep, but for the first
// seconds.
func (c *Claim) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held()
}

// held is Held for who has mu.
func (c *Claim) held() bool { return time.Since(c.seen) < c.times.trust }

// Await waits until the claim is held, or is not; false says that ctx ended before.
func (c *Claim) Await(ctx context.Context, held bool) bool {
	for {
		c.mu.Lock()
		now, changed := c.held(), c.changed
		c.mu.Unlock()
		if now == held {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// see notes that the connection was alive when it was asked.
func (c *Claim) see(asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = asked
	if c.over != nil {
		c.over.Stop()
	}
	c.over = time.AfterFunc(time.Until(asked.Add(c.times.trust)), c.tell)
	c.tellLocked()
}

// lose notes that the connection is gone: the server may have given the claim to another already.
func (c *Claim) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = time.Time{}
	c.tellLocked()
}

func (c *Claim) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellLocked()
}

// tellLocked has those who wait look at the claim anew.
func (c *Claim) tellLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Keep looks after the claim until ctx ends. A claim whose connection was lost it takes again, however long the server
// is away; it fails with ErrClaimed when another process was quicker.
func (c *Claim) Keep(ctx context.Context) error {
	for ; ctx.Err() == nil; c.listen(ctx) {
		if c.alive(ctx) {
			continue
		}
		c.log.WarnContext(ctx, "the connection that claims the database was lost; taking the claim again")
		c.lose()
		closeNow(c.conn)
		if err := c.retake(ctx); err != nil {
			return err
		}
	}
	return nil
}

// listen is the pause before the next look at the connection. It ends sooner when the server ends that: nobody tells
// anything on it otherwise.
func (c *Claim) listen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.times.check)
	defer cancel()
	_, _ = c.conn.WaitForNotification(ctx) // whether the connection lives is what alive finds out
}

func (c *Claim) alive(ctx context.Context) bool {
	asking, cancel := withDeadline(ctx)
	defer cancel()
	asked := time.Now()
	if err := c.conn.Ping(asking); err != nil {
		return ctx.Err() != nil
	}
	c.see(asked)
	return true
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
	c.over.Stop()
	c.lose()
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
