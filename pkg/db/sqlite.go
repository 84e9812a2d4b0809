package db

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	modernc "modernc.org/sqlite"

	"github.com/latchkey-dev/latchkey/pkg/db/sqlite"
)

const (
	// sqliteBusy is how long a statement waits for another process that holds the file, in milliseconds: briefly,
	// because nothing ends that wait early. Transactions try to begin for as long as their context allows.
	sqliteBusy = "100"
	// sqliteMigrationBusy is sqliteBusy for migrations, which are rare and tried a few times only.
	sqliteMigrationBusy = "10000"
	// sqliteCheckpoint copies the log into the file every 4,000 pages, 16 MB, where 1,000 is usual: a page that changes
	// often is copied once for many changes.
	sqliteCheckpoint = "wal_autocheckpoint(4000)"
	// sqliteReaders are few: each keeps a cache of up to 2 MB, and readers never wait for one another.
	sqliteReaders = 4
)

// openSQLite opens one connection that writes and a pool that reads beside it.
//
// Commits are synchronous (FULL): an acknowledged change survives a power cut as it does on PostgreSQL. NORMAL would
// survive a killed process, too, but could lose the last commits with the power. What undoes a statement that fails
// half-way needs no disk.
func openSQLite(ctx context.Context, cfg Config, path string) (*DB, error) {
	path, err := prepareFile(path)
	if err != nil {
		return nil, err
	}
	// An immediate transaction takes the write lock at its begin. A deferred one that reads first and then writes fails
	// at once, without waiting, when another has written in between.
	lock, pragmas := "immediate", []string{
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)", sqliteCheckpoint,
	}
	if cfg.ReadOnly {
		lock, pragmas = "deferred", append(pragmas, "query_only(1)")
	}
	writer, err := sqlitePool(path, url.Values{"_txlock": {lock}, "_pragma": pragmas}, 1)
	if err != nil {
		return nil, err
	}
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	readers := cmp.Or(cfg.MaxConns, sqliteReaders)
	reader, err := sqlitePool(path, url.Values{"_pragma": {"query_only(1)"}}, readers)
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetConnMaxLifetime(time.Hour) // a connection that stays open does not see what Optimize finds later
	d := &DB{engine: SQLite, readOnly: cfg.ReadOnly, log: cfg.Log, address: path, migrator: fileMigrator(path, writer)}
	d.gates.write, d.gates.read = newGate(1), newGate(readers)
	if d.write, err = open(sqlite.Dialector{Conn: pool{writer, d.gates.write}}); err == nil {
		d.read, err = open(sqlite.Dialector{Conn: pool{reader, d.gates.read}})
	}
	if err != nil {
		return nil, errors.Join(err, reader.Close(), writer.Close())
	}
	return d, nil
}

func checkFile(path string) error {
	if path == "" || strings.HasPrefix(path, ":") {
		return errors.New("the database URL names no file: expected sqlite:<path>")
	}
	return nil
}

// prepareFile makes the file readable by its owner only; SQLite gives its side files the same mode.
func prepareFile(path string) (string, error) {
	if err := checkFile(path); err != nil {
		return "", err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the database: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("open the database file: %w", err)
	}
	return path, file.Close()
}

func sqlitePool(path string, params url.Values, conns int) (*sql.DB, error) {
	// Times are written as UTC text that sorts by time, and read back as UTC.
	params.Set("_time_format", "sqlite")
	params.Set("_timezone", "UTC")
	connector, err := sqliteConnector(path, params)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool := sql.OpenDB(sqlite.Connector{Connector: connector})
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, nil
}

// sqliteConnector connects to the file at an absolute path.
func sqliteConnector(path string, params url.Values) (driver.Connector, error) {
	params.Set("_busy_timeout", sqliteBusy)
	file := filepath.ToSlash(path)
	if !strings.HasPrefix(file, "/") {
		file = "/" + file
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: file, RawQuery: params.Encode()}
	return modernc.NewConnector(dsn.String())
}

// fileMigrator excludes other processes, and other handles of this one, by a lock file beside the database.
func fileMigrator(path string, writer *sql.DB) func(context.Context, func(*sql.DB) error) error {
	return func(ctx context.Context, fn func(*sql.DB) error) error {
		lock := flock.New(path+".migrate", flock.SetPermissions(0o600))
		if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for another process that migrates %s: %w", path, err)
		}
		defer func() { _ = lock.Close() }()
		if err := setBusy(ctx, writer, sqliteMigrationBusy); err != nil {
			return err
		}
		err := fn(writer)
		return errors.Join(err, setBusy(context.WithoutCancel(ctx), writer, sqliteBusy))
	}
}

// setBusy is how long the only connection of writer waits from now on.
func setBusy(ctx context.Context, writer *sql.DB, milliseconds string) error {
	_, err := writer.ExecContext(ctx, "PRAGMA busy_timeout = "+milliseconds)
	return err
}
