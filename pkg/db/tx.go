package db

import (
	"context"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// maxRetries is how often a transaction that the database gave up is run again.
const maxRetries = 3

// Tx runs fn in a transaction that commits when fn returns nil and rolls back when it fails or panics. A transaction
// that the database gave up (deadlock, serialization failure) is run again up to three times, so fn may run more than
// once. Without a deadline in ctx it has 10 s. An outage comes back as apierr.ErrUnavailable.
//
// Where ctx carries a transaction of this database, fn joins it: inside another Tx it shares its fate, and a failure
// makes the outer one fail as well. Directly inside InUnit it is a separate step: a failure undoes this step only,
// and the unit may go on.
//
// fn must use the context and the handle it is given, in one goroutine at a time.
func (d *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	f := d.frame(ctx)
	switch {
	case f == nil:
		return d.explain(ctx, retried(ctx, func() error { return d.attempt(ctx, fn) }))
	case f.inStep:
		return d.explain(ctx, f.unit.join(ctx, fn))
	default:
		return d.explain(ctx, f.unit.step(ctx, fn))
	}
}

// attempt is one try of its own transaction.
func (d *DB) attempt(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	u := newUnit(ctx, d)
	defer u.close()
	if err := u.begin(); err != nil {
		return err
	}
	if err := u.call(ctx, fn); err != nil {
		return err
	}
	return u.commit()
}

// InUnit runs fn so that every Tx inside it shares one transaction, which the first Tx begins: whatever fn does before,
// such as calls to other services, holds no connection. When fn returns nil, finish runs in the same transaction, and
// it commits. When fn or finish fails or panics, everything is rolled back. fn runs once: only a step that begins the
// transaction is retried. A unit inside a unit or a transaction joins it.
func (d *DB) InUnit(
	ctx context.Context, fn func(ctx context.Context) error, finish func(ctx context.Context, tx *gorm.DB) error,
) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if d.frame(ctx) != nil {
		if err := fn(ctx); err != nil {
			return err
		}
		return d.Tx(ctx, finish)
	}
	u := newUnit(ctx, d)
	defer u.close()
	if err := fn(u.carriedBy(ctx, false)); err != nil {
		return d.explain(ctx, err)
	}
	if err := u.step(ctx, finish); err != nil {
		return d.explain(ctx, err)
	}
	return d.explain(ctx, u.commit())
}

// InTx reports whether ctx carries a transaction of this database, or a unit that has not begun its own yet.
func (d *DB) InTx(ctx context.Context) bool { return d.frame(ctx) != nil }

// AfterCommit runs fn after the outermost transaction in ctx has committed, and never if it does not. Without a
// transaction it runs fn at once. ctx must be the one that Tx or InUnit handed out.
func AfterCommit(ctx context.Context, fn func()) {
	f := innermost(ctx, func(*unit) bool { return true })
	if f == nil {
		fn()
		return
	}
	f.unit.hooks = append(f.unit.hooks, fn)
}

// retried runs fn again while it fails for a reason that may pass, after a short random pause.
func retried(ctx context.Context, fn func() error) error {
	const pause = 20 * time.Millisecond
	for try := 0; ; try++ {
		err := fn()
		if err == nil || try == maxRetries || !IsRetryable(err) || clock.Sleep(ctx, rand.N(pause<<try)) != nil {
			return err
		}
	}
}
