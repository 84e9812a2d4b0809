package db

import (
	"context"
	"slices"

	"gorm.io/gorm"
)

// Edit changes rows of a table, a page at a time, in the order of a unique column. Rows that stay as they are are
// neither locked nor written; one that is to change is read again under its lock, because another process may have
// changed it since.
type Edit[Row any] struct {
	// Rows is a query for rows with the column Key, which ends with a condition; Args are its parameters.
	Rows string
	Args []any
	// Key is the unique column, and KeyOf its value.
	Key   string
	KeyOf func(row *Row) any
	// Page is how many rows are in memory, and in a transaction, at most.
	Page int
	// Change edits a row in memory and reports whether it differs. It is asked again about a row that does.
	Change func(row *Row) (differs bool, err error)
	// Store writes a row that differs.
	Store func(tx *gorm.DB, row *Row) error
}

// Run edits all rows there are.
func (e *Edit[Row]) Run(ctx context.Context, d *DB) error {
	query, args := e.Rows, e.Args
	for {
		var rows []Row
		page := slices.Concat(args, []any{e.Page})
		err := d.Read(ctx).Raw(query+" ORDER BY "+e.Key+" LIMIT ?", page...).Scan(&rows).Error
		if err == nil {
			err = e.edit(ctx, d, rows)
		}
		if err != nil || len(rows) < e.Page {
			return Error(err)
		}
		query = e.Rows + " AND " + e.Key + " > ?"
		args = slices.Concat(e.Args, []any{e.KeyOf(&rows[len(rows)-1])})
	}
}

func (e *Edit[Row]) edit(ctx context.Context, d *DB, rows []Row) error {
	var differ []any
	for i := range rows {
		differs, err := e.Change(&rows[i])
		if err != nil {
			return err
		}
		if differs {
			differ = append(differ, e.KeyOf(&rows[i]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	again := e.Rows + " AND " + e.Key + " IN ? ORDER BY " + e.Key
	if d.Engine() == Postgres {
		again += " FOR UPDATE"
	}
	return d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var locked []Row
		if err := tx.Raw(again, slices.Concat(e.Args, []any{differ})...).Scan(&locked).Error; err != nil {
			return err
		}
		return e.store(tx, locked)
	})
}

func (e *Edit[Row]) store(tx *gorm.DB, locked []Row) error {
	for i := range locked {
		differs, err := e.Change(&locked[i])
		if err == nil && differs {
			err = e.Store(tx, &locked[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
