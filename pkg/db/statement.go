package db

import (
	"context"

	"gorm.io/gorm"
)

// Statement runs fn, which must carry out one statement only and be atomic in that: where ctx carries no transaction of
// this database it saves the round trips of BEGIN and COMMIT. Otherwise it is Tx, with its deadline, retries and
// errors.
func (d *DB) Statement(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	if d.InTx(ctx) {
		return d.Tx(ctx, fn)
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return d.explain(ctx, retried(ctx, func() error { return fn(ctx, session(ctx, d.write)) }))
}
