//go:build unix

package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the embedded default

	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// embedded is the one process of the embedded default, with licenses loaded.
type embedded struct {
	*suite.Suite
}

// startEmbedded starts it from the repository at root and loads licenses 1 to count.
func startEmbedded(
	ctx context.Context, root string, count int64, progress io.Writer, settings ...string,
) (*embedded, error) {
	s, err := suite.Start(ctx, suite.Options{Root: root, Embedded: true, Progress: progress, Settings: settings})
	if err != nil {
		return nil, err
	}
	e := &embedded{s}
	var secrets struct {
		MasterKey string `json:"master_key"`
	}
	if err := credentials.ReadJSON(filepath.Join(e.dataDir(), "secrets.json"), &secrets); err != nil {
		return nil, err
	}
	return e, fillSQLite(ctx, e.file("license"), secrets.MasterKey, count)
}

func (e *embedded) dataDir() string { return filepath.Join(e.Dir, "latchkey-data") }

// file is the database of a service.
func (e *embedded) file(service string) string { return filepath.Join(e.dataDir(), service+".db") }

func (e *embedded) pid() int { return e.Process("latchkey").PID() }

// openSQLite opens a database file as the services do: synchronous, one writer.
func openSQLite(file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+
		"?_txlock=immediate&_time_format=sqlite&_pragma=journal_mode(WAL)"+
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// fillSQLite is fill for the embedded default.
func fillSQLite(ctx context.Context, file, masterKey string, count int64) error {
	rows, err := newRows(masterKey)
	if err != nil {
		return err
	}
	db, err := openSQLite(file)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `INSERT INTO products (id, name, created_at) VALUES (?, 'bench', ?)`,
		uuidText(rows.product), rows.now); err != nil {
		return err
	}
	if err := insertRows(ctx, tx, "licenses", licenseColumns, count, rows.license); err != nil {
		return err
	}
	if err := insertRows(ctx, tx, "devices", deviceColumns, count, rows.device); err != nil {
		return err
	}
	return tx.Commit()
}

func insertRows(
	ctx context.Context, tx *sql.Tx, table string, columns []string, count int64, values func(n int64) ([]any, error),
) error {
	statement, err := tx.PrepareContext(ctx,
		fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table, strings.Join(columns, ", "),
			strings.Repeat(", ?", len(columns)-1)))
	if err != nil {
		return err
	}
	defer statement.Close()
	for n := range count {
		row, err := values(n + 1)
		if err != nil {
			return err
		}
		for i, v := range row {
			switch v := v.(type) {
			case [16]byte:
				row[i] = uuidText(v)
			case time.Time:
				row[i] = v.Truncate(time.Microsecond)
			}
		}
		if _, err := statement.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}
