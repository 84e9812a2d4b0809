package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// Query is one call of Find or Exec of the handle that it is given.
type Query = func(tx *gorm.DB) *gorm.DB

// Pipeline carries out queries of a transaction in their order. On PostgreSQL they share one round trip, and each sees
// what is committed when its turn comes, as if it were sent alone. A query fills nothing, and tells of no row, before
// all have been sent; it finds its rows by an index.
func Pipeline(tx *gorm.DB, queries ...Query) error {
	shared, ok := tx.Statement.ConnPool.(*pgTx)
	if !ok || len(queries) < 2 {
		for _, query := range queries {
			if err := query(session(tx.Statement.Context, tx)).Error; err != nil {
				return err
			}
		}
		return nil
	}
	p, err := newPipeline(tx, queries)
	if err != nil {
		return err
	}
	return shared.send(tx.Statement.Context, p)
}

// TxEnding runs fn as Tx does, and after it the queries that fn returns. They are a Pipeline, of which nothing is read:
// on PostgreSQL it shares the round trip of the commit, unless ctx carries a transaction.
func (d *DB) TxEnding(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) ([]Query, error)) error {
	joins := d.InTx(ctx)
	return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		last, err := fn(ctx, tx)
		if err != nil {
			return err
		}
		if own, ok := tx.Statement.ConnPool.(*pgTx); ok && !joins && len(last) > 0 {
			own.last, err = newPipeline(tx, last)
			return err
		}
		return Pipeline(tx, last...)
	})
}

// pipeline is queries that are sent together. A statement without a handle returns nothing that is read.
type pipeline struct {
	batch pgx.Batch
	built []*gorm.DB
}

func newPipeline(tx *gorm.DB, queries []Query) (*pipeline, error) {
	p := &pipeline{}
	for _, query := range queries {
		q := query(tx.Session(&gorm.Session{NewDB: true, DryRun: true, Context: tx.Statement.Context}))
		if q.Error != nil {
			return nil, q.Error
		}
		p.batch.Queue(q.Statement.SQL.String(), q.Statement.Vars...)
		p.built = append(p.built, q)
	}
	return p, nil
}

func (p *pipeline) prepend(statement string) {
	p.batch.QueuedQueries = append([]*pgx.QueuedQuery{{SQL: statement}}, p.batch.QueuedQueries...)
	p.built = append([]*gorm.DB{nil}, p.built...)
}

func (p *pipeline) append(statement string) {
	p.batch.Queue(statement)
	p.built = append(p.built, nil)
}

func (p *pipeline) run(ctx context.Context, server *pgx.Conn) (err error) {
	results := server.SendBatch(ctx, &p.batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for _, q := range p.built {
		if err := readResult(results, q); err != nil {
			return err
		}
	}
	return nil
}

func readResult(results pgx.BatchResults, q *gorm.DB) error {
	if q == nil || q.Statement.Dest == nil {
		tag, err := results.Exec()
		return errors.Join(err, committed(tag))
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
