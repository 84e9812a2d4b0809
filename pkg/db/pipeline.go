package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// Pipeline carries out queries of a transaction in their order. On PostgreSQL they share one round trip, and each sees
// what is committed when its turn comes, as if it were sent alone. A query is one call of Find or Exec of the handle
// that it is given, which fills nothing, and tells of no row, before all have been sent; it finds its rows by an index.
func Pipeline(tx *gorm.DB, queries ...func(tx *gorm.DB) *gorm.DB) error {
	shared, ok := tx.Statement.ConnPool.(*pgTx)
	if !ok || len(queries) < 2 {
		for _, query := range queries {
			if err := query(session(tx.Statement.Context, tx)).Error; err != nil {
				return err
			}
		}
		return nil
	}
	if !shared.piped {
		shared.piped = true
		queries = append([]func(*gorm.DB) *gorm.DB{planForLookUps}, queries...)
	}
	batch, built := &pgx.Batch{}, make([]*gorm.DB, len(queries))
	for i, query := range queries {
		q := query(tx.Session(&gorm.Session{NewDB: true, DryRun: true, Context: tx.Statement.Context}))
		if q.Error != nil {
			return q.Error
		}
		batch.Queue(q.Statement.SQL.String(), q.Statement.Vars...)
		built[i] = q
	}
	return shared.send(tx.Statement.Context, batch, built)
}

// planForLookUps has PostgreSQL plan the statements of a transaction once for all parameters, since planning one that
// names many columns takes longer than carrying it out, and read no whole table: a plan may be older than the rows.
func planForLookUps(tx *gorm.DB) *gorm.DB {
	return tx.Exec("SELECT set_config('plan_cache_mode', 'force_generic_plan', true), " +
		"set_config('enable_seqscan', 'off', true)")
}

// pgTx is a transaction whose connection takes pipelines, too.
type pgTx struct {
	*sql.Tx
	conn  *sql.Conn
	piped bool // there was a pipeline before
}

// pgPool is a pool whose transactions take pipelines.
type pgPool struct{ pool }

// BeginTx implements gorm.ConnPoolBeginner.
func (p pgPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &pgTx{Tx: tx, conn: conn}, nil
}

// Commit implements gorm.TxCommitter.
func (t *pgTx) Commit() error { return errors.Join(t.Tx.Commit(), t.conn.Close()) }

// Rollback implements gorm.TxCommitter.
func (t *pgTx) Rollback() error { return errors.Join(t.Tx.Rollback(), t.conn.Close()) }

func (t *pgTx) send(ctx context.Context, batch *pgx.Batch, built []*gorm.DB) error {
	return t.conn.Raw(func(conn any) (err error) {
		server := conn.(*stdlib.Conn).Conn()
		if server.PgConn().TxStatus() != 'T' {
			return sql.ErrTxDone // it ended with its context; what comes after it would be no part of it
		}
		results := server.SendBatch(ctx, batch)
		defer func() { err = errors.Join(err, results.Close()) }()
		for _, q := range built {
			if err := readResult(results, q); err != nil {
				return err
			}
		}
		return nil
	})
}

func readResult(results pgx.BatchResults, q *gorm.DB) error {
	if q.Statement.Dest == nil {
		_, err := results.Exec()
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	gorm.Scan(pipelined{rows}, q, 0)
	return errors.Join(q.Error, rows.Err())
}

// pipelined are rows for gorm.
type pipelined struct{ pgx.Rows }

// Columns implements gorm.Rows.
func (r pipelined) Columns() ([]string, error) {
	fields := r.FieldDescriptions()
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names, nil
}

// ColumnTypes implements gorm.Rows: structs and plain values need none.
func (r pipelined) ColumnTypes() ([]*sql.ColumnType, error) { return nil, nil }

// Close implements gorm.Rows.
func (r pipelined) Close() error {
	r.Rows.Close()
	return nil
}
