package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Migrations is a source of schema changes with its own history, so that a building block and a service that uses
// it number theirs independently.
type Migrations struct {
	// Name, of lower-case letters, digits and underscores, is part of the table that keeps the history.
	Name string
	// FS has the folders postgres and sqlite with goose SQL files such as 00001_licenses.sql.
	FS fs.FS
}

var migrationsName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// Migrate brings the schema up to date, source by source. Any number of processes may call it at once: one works, the
// others wait and find nothing to do. ctx alone bounds it: an index of a large table takes as long as it takes. Each
// migration is a transaction of its own: after one that failed, the next call goes on with it. A database that a newer
// program has migrated is left as it is, so that older programs start again while an upgrade is rolled out; it fails
// when a migration of the newer program says that they cannot use its schema (a line "-- latchkey:needs 7" in the
// migration: they must know version 7), or when the database was made by other migrations. By a handle that is
// read-only it fails where anything is left to do.
func (d *DB) Migrate(ctx context.Context, sources ...Migrations) error {
	if d.readOnly {
		return d.checkMigrated(ctx, sources)
	}
	return Error(d.migrator(ctx, func(handle *sql.DB) error {
		for _, source := range sources {
			if err := d.migrate(ctx, handle, source); err != nil {
				return fmt.Errorf("migrate %s: %w", source.Name, err)
			}
		}
		return nil
	}))
}

// checkMigrated fails where Migrate would have something to do.
func (d *DB) checkMigrated(ctx context.Context, sources []Migrations) error {
	versions, err := d.Versions(ctx, sources...)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Current < v.Known {
			return fmt.Errorf("the schema %s has version %d of %d, and nothing is changed in maintenance mode: "+
				"migrate first, by a start without LATCHKEY_MAINTENANCE or the command migrate of a service",
				v.Name, v.Current, v.Known)
		}
	}
	return nil
}

func (d *DB) migrate(ctx context.Context, handle *sql.DB, source Migrations) error {
	provider, sums, err := d.provider(handle, source)
	if err != nil {
		return err
	}
	current, known, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if err := d.checkApplied(ctx, current, sums); err != nil {
		return err
	}
	if current > known {
		d.log.WarnContext(ctx, "a newer program has migrated the database; this one runs without what was added",
			"source", source.Name, "version", current, "known", known)
		return nil
	}
	if err := d.noteChecksums(ctx, current, sums); err != nil {
		return err
	}
	return d.patiently(ctx, handle, source.Name, func() error {
		results, err := provider.Up(ctx)
		for _, r := range results {
			d.log.InfoContext(ctx, "migrated", "source", source.Name, "version", r.Source.Version, "took", r.Duration)
		}
		return err
	})
}

// migrationWaits are how long a migration waits for a lock, and the pause before it waits again. The first is less than
// calls wait for a connection: behind the migration, statements on that table keep theirs. In every sixth turn the
// migration waits for longer than PostgreSQL's deadlock_timeout (1 s), because only then an autovacuum, which may take
// hours, makes way for it.
var migrationWaits = struct{ lock, long, pause time.Duration }{queueTime / 2, 1500 * time.Millisecond, 5 * time.Second}

// patiently runs up beside older programs, which use the tables meanwhile, and take their locks in another order. What
// keeps a table for long, such as a backup, is waited for in turns: behind a migration that waits all others wait, too.
func (d *DB) patiently(ctx context.Context, handle *sql.DB, source string, up func() error) error {
	const round = 6
	for try := 1; ; try++ {
		wait := migrationWaits.lock
		if try%round == 0 {
			wait = migrationWaits.long
		}
		err := d.waitForLocks(ctx, handle, wait)
		if err == nil {
			err = retried(ctx, up)
		}
		if pgCode(err) != "55P03" { // lock_not_available
			return err
		}
		if try%round == 1 {
			d.log.WarnContext(ctx, "a migration waits for a table that something uses for long, such as a backup or "+
				"an autovacuum; what the migration had begun is undone, and it begins anew",
				"source", source, "tries", try, "error", err)
		}
		if clock.Sleep(ctx, migrationWaits.pause) != nil {
			return err
		}
	}
}

// waitForLocks sets for how long statements wait for a lock on the one connection that migrations use (pgMigrator.run).
func (d *DB) waitForLocks(ctx context.Context, handle *sql.DB, wait time.Duration) error {
	if d.engine != Postgres {
		return nil
	}
	_, err := handle.ExecContext(ctx, fmt.Sprintf("SET lock_timeout = %d", wait.Milliseconds()))
	return err
}

// provider also returns the checksums of what it provides.
func (d *DB) provider(handle *sql.DB, source Migrations) (*goose.Provider, []checksumRow, error) {
	if !migrationsName.MatchString(source.Name) {
		return nil, nil, fmt.Errorf("%q is not a name for migrations", source.Name)
	}
	files, err := fs.Sub(source.FS, string(d.engine))
	if err != nil {
		return nil, nil, err
	}
	dialect := goose.DialectPostgres
	if d.engine == SQLite {
		dialect = goose.DialectSQLite3
	}
	provider, err := goose.NewProvider(dialect, handle, files,
		goose.WithTableName(historyTable(source)), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, err
	}
	sums, err := checksums(source.Name, files, provider.ListSources())
	return provider, sums, err
}

// Version is how far the history of one source of migrations is.
type Version struct {
	Name string
	// Current is that of the database, 0 before the first migration; Known is the newest that this program brings.
	Current, Known int64
}

// Versions reads the histories of sources and changes nothing. It fails where Migrate would.
func (d *DB) Versions(ctx context.Context, sources ...Migrations) ([]Version, error) {
	var versions []Version
	for _, source := range sources {
		handle, err := d.write.DB()
		if err != nil {
			return nil, err
		}
		_, sums, err := d.provider(handle, source)
		if err != nil {
			return nil, err
		}
		v := Version{Name: source.Name}
		for _, known := range sums {
			v.Known = max(v.Known, known.Version)
		}
		if v.Current, err = d.current(ctx, historyTable(source)); err != nil {
			return nil, Error(err)
		}
		if err := d.checkApplied(ctx, v.Current, sums); err != nil {
			return nil, Error(err)
		}
		versions = append(versions, v)
	}
	return versions, nil
}

func (d *DB) current(ctx context.Context, table string) (version int64, err error) {
	exists, err := d.hasTable(d.Read(ctx), table)
	if err != nil || !exists {
		return 0, err
	}
	err = d.Read(ctx).Table(table).Select("coalesce(max(version_id), 0)").Scan(&version).Error
	return version, err
}

// hasTable looks in the schema of d, not where else its search path may lead.
func (d *DB) hasTable(tx *gorm.DB, table string) (exists bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?)"
	if d.engine == SQLite {
		query = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)"
	}
	err = tx.Raw(query, table).Scan(&exists).Error
	return exists, err
}

func (d *DB) hasColumn(tx *gorm.DB, table, column string) (exists bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM information_schema.columns " +
		"WHERE table_schema = current_schema() AND table_name = ? AND column_name = ?)"
	if d.engine == SQLite {
		query = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?) WHERE name = ?)"
	}
	err = tx.Raw(query, table, column).Scan(&exists).Error
	return exists, err
}

func historyTable(source Migrations) string { return "migrations_" + source.Name }
