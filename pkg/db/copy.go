package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Copy is the file of a SQLite database, and the new file that it is copied to.
type Copy struct{ From, To string }

// copyPages is how many pages are copied between two reports of progress: 16 MB.
const copyPages = 4000

// copyRetry is the pause before all databases are tried to be locked again.
const copyRetry = 20 * time.Millisecond

// CopySQLite copies databases as all of them are at one instant, while other programs read and write them: what a
// program wrote into one before it wrote into another is in the copies in that order. Writers wait until the instant is
// found, for milliseconds, and not while it is copied. The copies are whole files without a log, which only their owner
// can read. progress is called with the pages of the copy at hand. After an error the caller removes what has been
// copied.
func CopySQLite(ctx context.Context, copies []Copy, progress func(c Copy, done, total int)) (err error) {
	snapshots, err := snapshotsOf(ctx, copies)
	defer func() { err = errors.Join(err, snapshots.close()) }()
	for i, s := range snapshots {
		if err == nil {
			err = copyOut(ctx, s.conn, copies[i], progress)
		}
	}
	return err
}

// snapshot is a connection that sees a database as it was when the connection began to read.
type snapshot struct {
	pool *sql.DB
	conn *sql.Conn
}

type snapshots []*snapshot

// snapshotsOf begins to read all databases while nobody can write to any of them. Where a program is busy writing for
// longer, all are let go and tried again: what others write to them must not have to wait for it.
func snapshotsOf(ctx context.Context, copies []Copy) (snapshots, error) {
	for {
		locks, err := beginAll(ctx, copies, "BEGIN IMMEDIATE")
		if err == nil {
			// A transaction begins to see the database with the first thing that it reads.
			all, err := beginAll(ctx, copies, "BEGIN", "SELECT count(*) FROM sqlite_schema")
			return all, errors.Join(err, locks.close())
		}
		err = errors.Join(err, locks.close())
		if sqliteCode(err)&0xff != codes.SQLITE_BUSY || clock.Sleep(ctx, copyRetry) != nil {
			return nil, err
		}
	}
}

// beginAll executes statements on its own connection to each database.
func beginAll(ctx context.Context, copies []Copy, statements ...string) (all snapshots, err error) {
	for _, c := range copies {
		s, err := begin(ctx, c.From, statements...)
		if err != nil {
			return all, fmt.Errorf("open %s: %w", c.From, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// begin opens a database that exists and executes statements on its only connection.
func begin(ctx context.Context, path string, statements ...string) (s *snapshot, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	connector, err := sqliteConnector(path, url.Values{"mode": {"rw"}})
	if err != nil {
		return nil, err
	}
	s = &snapshot{pool: sql.OpenDB(connector)}
	if s.conn, err = s.pool.Conn(ctx); err != nil {
		return nil, errors.Join(err, s.pool.Close())
	}
	for _, statement := range statements {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(err, snapshots{s}.close())
		}
	}
	return s, nil
}

// close ends what the connections have begun.
func (all snapshots) close() error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.conn.Close(), s.pool.Close())
	}
	return errors.Join(errs...)
}

// copyOut copies what a connection sees, and then looks whether the copy is sound.
func copyOut(ctx context.Context, from *sql.Conn, c Copy, progress func(c Copy, done, total int)) error {
	file, err := os.OpenFile(c.To, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("make the copy: %w", err)
	}
	err = from.Raw(func(conn any) error {
		backup, err := conn.(interface {
			NewBackup(to string) (*driver.Backup, error)
		}).NewBackup(c.To)
		if err != nil {
			return err
		}
		err = step(ctx, backup, func(done, total int) { progress(c, done, total) })
		if finished := backup.Finish(); err == nil { // it says the same again
			err = finished
		}
		return err
	})
	if code := sqliteCode(err) & 0xff; code == codes.SQLITE_FULL || code == codes.SQLITE_IOERR {
		err = fmt.Errorf("the disk is full, or does not take it: %w", err)
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", c.From, c.To, err)
	}
	return checkCopy(ctx, c.To)
}

func step(ctx context.Context, backup *driver.Backup, progress func(done, total int)) error {
	for more := true; more; {
		var err error
		if more, err = backup.Step(copyPages); err != nil {
			return err
		}
		progress(backup.PageCount()-backup.Remaining(), backup.PageCount())
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// checkCopy makes the copy one file: its pages say that there is a log beside it.
func checkCopy(ctx context.Context, path string) error {
	s, err := begin(ctx, path, "PRAGMA journal_mode = DELETE")
	if err != nil {
		return fmt.Errorf("open the copy %s: %w", path, err)
	}
	var said string
	err = s.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said)
	if err = errors.Join(err, snapshots{s}.close()); err == nil && said != "ok" {
		err = errors.New(said)
	}
	if err != nil {
		return fmt.Errorf("%s is not sound: %w", path, err)
	}
	return nil
}
