package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// planForLookUps has PostgreSQL plan the statements of a transaction once for all parameters, since planning one that
// names many columns takes longer than carrying it out, and read no whole table: a plan may be older than the rows.
const planForLookUps = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), " +
	"set_config('enable_seqscan', 'off', true)"

// pgPool is a pool whose transactions take pipelines.
type pgPool struct{ pool }

// BeginTx implements gorm.ConnPoolBeginner. It takes no options: nobody needs any.
func (p pgPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	if opts != nil && *opts != (sql.TxOptions{}) {
		return nil, errors.New("db: a transaction of PostgreSQL takes no options")
	}
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &pgTx{Conn: conn, ctx: ctx}, nil
}

// pgTx is a transaction on a connection of its own. Its BEGIN and COMMIT share the round trips of pipelines where these
// come first and last, which those of database/sql cannot.
type pgTx struct {
	*sql.Conn
	ctx   context.Context // bounds the transaction
	begun bool
	piped bool // there was a pipeline before
	// last is sent with the commit, nil for nothing.
	last *pipeline
}

// ExecContext implements gorm.ConnPool.
func (t *pgTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	return t.Conn.ExecContext(ctx, query, args...)
}

// QueryContext implements gorm.ConnPool.
func (t *pgTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	return t.Conn.QueryContext(ctx, query, args...)
}

// QueryRowContext implements gorm.ConnPool. Without a transaction there is no connection either, which the row tells.
func (t *pgTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := t.begin(ctx); err != nil {
		t.discard()
	}
	return t.Conn.QueryRowContext(ctx, query, args...)
}

// begin refuses what comes after the end of the transaction: it would be no part of it.
func (t *pgTx) begin(ctx context.Context) error {
	if err := t.ctx.Err(); err != nil {
		return errors.Join(sql.ErrTxDone, err)
	}
	return t.raw(func(server *pgx.Conn) error {
		if t.begun {
			return alive(server)
		}
		_, err := server.Exec(ctx, "begin")
		t.begun = err == nil
		return err
	})
}

// send carries out a pipeline, which begins the transaction if nothing has.
func (t *pgTx) send(ctx context.Context, p *pipeline) error {
	if err := t.ctx.Err(); err != nil {
		return errors.Join(sql.ErrTxDone, err)
	}
	return t.raw(func(server *pgx.Conn) error {
		if !t.piped {
			p.prepend(planForLookUps)
			t.piped = true
		}
		if !t.begun {
			p.prepend("begin")
			t.begun = true
		} else if err := alive(server); err != nil {
			return err
		}
		return p.run(ctx, server)
	})
}

// alive tells that the server did not end the transaction.
func alive(server *pgx.Conn) error {
	if server.PgConn().TxStatus() == 'I' {
		return sql.ErrTxDone
	}
	return nil
}

// Commit implements gorm.TxCommitter.
func (t *pgTx) Commit() error {
	err := t.commit()
	if err != nil {
		_ = t.rollback() // why it was not committed says more
	}
	return errors.Join(err, t.Conn.Close())
}

func (t *pgTx) commit() error {
	if t.last != nil {
		t.last.append("commit")
		return t.send(t.ctx, t.last)
	}
	if !t.begun {
		return t.ctx.Err()
	}
	if err := t.begin(t.ctx); err != nil {
		return err
	}
	return t.raw(func(server *pgx.Conn) error {
		tag, err := server.Exec(t.ctx, "commit")
		return errors.Join(err, committed(tag))
	})
}

// committed is an error where the server undid a transaction that was to be committed, since a statement had failed.
func committed(tag pgconn.CommandTag) error {
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback implements gorm.TxCommitter.
func (t *pgTx) Rollback() error { return errors.Join(t.rollback(), t.Conn.Close()) }

// rollback discards the connection if it does not take it.
func (t *pgTx) rollback() error {
	if !t.begun {
		return nil
	}
	err := t.raw(func(server *pgx.Conn) error {
		if server.IsClosed() || server.PgConn().TxStatus() == 'I' {
			return nil
		}
		_, err := server.Exec(t.ctx, "rollback")
		return err
	})
	if err != nil {
		t.discard()
	}
	return err
}

// discard closes the connection instead of giving it back.
func (t *pgTx) discard() {
	_ = t.Conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (t *pgTx) raw(fn func(server *pgx.Conn) error) error {
	return t.Conn.Raw(func(conn any) error { return fn(conn.(*stdlib.Conn).Conn()) })
}
