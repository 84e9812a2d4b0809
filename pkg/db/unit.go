package db

import (
	"context"
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"
)

// unit is one transaction of one database, which begins with its first step. A context carries it to those who join.
type unit struct {
	d *DB
	// ctx bounds the transaction. It is not the context of a step: a step that ends must not end the transaction.
	ctx   context.Context
	turn  chan struct{}           // holds the one step under way; a channel, so that waiting ends with a context
	tx    atomic.Pointer[gorm.DB] // nil until begun and after the end
	leave func()                  // gives the connection's turn back
	done  atomic.Bool
	hooks []func()
	// failed is why a Tx that joined the step under way failed: the step may no longer succeed.
	failed error
}

func newUnit(ctx context.Context, d *DB) *unit {
	return &unit{d: d, ctx: ctx, turn: make(chan struct{}, 1)}
}

// frame is what a context carries: a unit, whether a step of it is under way, and the frame outside, which in a process
// of several services may belong to another database.
type frame struct {
	unit   *unit
	inStep bool
	outer  *frame
}

type frameKey struct{}

func (u *unit) carriedBy(ctx context.Context, inStep bool) context.Context {
	outer, _ := ctx.Value(frameKey{}).(*frame)
	return context.WithValue(ctx, frameKey{}, &frame{unit: u, inStep: inStep, outer: outer})
}

// innermost finds the innermost frame in ctx whose unit is open and wanted, or nil.
func innermost(ctx context.Context, wanted func(*unit) bool) *frame {
	f, _ := ctx.Value(frameKey{}).(*frame)
	for f != nil && (f.unit.done.Load() || !wanted(f.unit)) {
		f = f.outer
	}
	return f
}

// frame finds the unit of d in ctx.
func (d *DB) frame(ctx context.Context) *frame {
	return innermost(ctx, func(u *unit) bool { return u.d == d })
}

func (u *unit) begin() (err error) {
	if u.leave, err = u.d.gates.write.enter(u.ctx); err != nil {
		return err
	}
	tx := session(u.ctx, u.d.write).Begin()
	for IsRetryable(tx.Error) && u.ctx.Err() == nil { // another process has the SQLite file; each try waits sqliteBusy
		tx = session(u.ctx, u.d.write).Begin()
	}
	if tx.Error != nil {
		u.leave()
		return fmt.Errorf("begin: %w", tx.Error)
	}
	u.tx.Store(tx)
	return nil
}

func (u *unit) commit() error {
	u.done.Store(true)
	err := u.tx.Swap(nil).Commit().Error
	u.leave()
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, fn := range u.hooks {
		fn()
	}
	return nil
}

func (u *unit) rollback() {
	if tx := u.tx.Swap(nil); tx != nil {
		tx.Rollback()
		u.leave()
	}
}

// close ends the unit; what has not been committed is rolled back.
func (u *unit) close() {
	u.done.Store(true)
	u.rollback()
}

// step runs fn as a part of the unit that stands alone: when it fails, the unit is as it was before.
func (u *unit) step(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another step of the unit: %w", ctx.Err())
	}
	if u.tx.Load() != nil {
		return u.later(ctx, fn)
	}
	return retried(ctx, func() error { return u.first(ctx, fn) })
}

// first begins the transaction, so that undoing the step is a rollback and no savepoint is needed.
func (u *unit) first(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	if err := u.begin(); err != nil {
		return err
	}
	return u.guard(func() error { return u.call(ctx, fn) }, u.rollback)
}

// later runs a step within the transaction that an earlier one began.
func (u *unit) later(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	if err := u.exec(ctx, "SAVEPOINT step"); err != nil {
		return err
	}
	return u.guard(func() error {
		if err := u.call(ctx, fn); err != nil {
			return err
		}
		return u.exec(ctx, "RELEASE SAVEPOINT step")
	}, u.undoStep)
}

// undoStep goes back to the savepoint. A transaction that cannot is given up as a whole: its commit will fail.
func (u *unit) undoStep() {
	err := u.exec(u.ctx, "ROLLBACK TO SAVEPOINT step")
	if err == nil {
		err = u.exec(u.ctx, "RELEASE SAVEPOINT step")
	}
	if err != nil {
		u.tx.Load().Rollback()
	}
}

func (u *unit) exec(ctx context.Context, statement string) error {
	return session(ctx, u.tx.Load()).Exec(statement).Error
}

// guard calls fn and, if it fails or panics, undo; hooks that fn registered go with it.
func (u *unit) guard(fn func() error, undo func()) error {
	mark, ok := len(u.hooks), false
	defer func() {
		if !ok {
			u.hooks = u.hooks[:mark]
			undo()
		}
	}()
	err := fn()
	ok = err == nil
	return err
}

func (u *unit) call(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	u.failed = nil
	if err := fn(u.carriedBy(ctx, true), session(ctx, u.tx.Load())); err != nil {
		return err
	}
	if u.failed != nil {
		return fmt.Errorf("a transaction that joined this one failed: %w", u.failed)
	}
	return nil
}

// join runs fn inside the step under way and remembers its failure, since part of its work may have been done.
func (u *unit) join(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	err := fn(ctx, session(ctx, u.tx.Load()))
	if err != nil {
		u.failed = err
	}
	return err
}
