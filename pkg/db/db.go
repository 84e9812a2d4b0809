// Package db opens a service's database, PostgreSQL or the embedded SQLite, behind one gorm handle: transactions that
// retry and join, migrations that many replicas may start at once, and outages told from defects.
//
// Columns: an id is uuid on PostgreSQL and TEXT on SQLite, a string in Go. A time is timestamptz and TIMESTAMP (SQLite
// knows by that word that the text is a time), time.Time in Go, always read back in UTC; the result of an expression
// such as max(at) has no declared type there and is read into a Time. A document is jsonb or json and TEXT, JSON in Go.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	codes "modernc.org/sqlite/lib"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Engine names a kind of database.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	SQLite   Engine = "sqlite"
)

// defaultTimeout bounds what is called with a context that has no deadline.
const defaultTimeout = 10 * time.Second

// Config says which database to open.
type Config struct {
	// URL is postgres://user:password@host:port/name or sqlite:<path of the file>. It never appears in an error or a
	// log.
	URL string
	// Schema is the service's own schema on PostgreSQL: Migrate creates it, and it alone is searched, whatever the URL
	// says. Empty leaves the server's default. SQLite has a file per service instead.
	Schema string
	// MaxConns is the size of the pool, 10 when zero. On SQLite it counts the readers, 4 when zero; there is always one
	// writer.
	MaxConns int
	// ReadOnly has the database refuse every change, also one that nobody meant to make. Migrate then only looks.
	ReadOnly bool
	// Log hears about waiting and migrating; nil is silent.
	Log *slog.Logger
	// Traces records statements of requests that are recorded; nil records none.
	Traces *trace.Recorder
}

// DB is one service's database. It is safe for concurrent use.
type DB struct {
	engine   Engine
	readOnly bool
	write    *gorm.DB
	read     *gorm.DB // the same as write on PostgreSQL
	gates    struct{ write, read *gate }
	log      *slog.Logger
	// address is where the database is, for people: no user, no password.
	address string
	// migrator runs fn with a handle on which migrations may take their time, alone among all processes.
	migrator func(ctx context.Context, fn func(*sql.DB) error) error
	// connect makes a connection beside the pool, for a Claim; nil on SQLite.
	connect func(context.Context) (*pgx.Conn, error)
}

// Open opens the database of cfg. It does not wait for a server; see Await.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	switch scheme {
	case "postgres", "postgresql":
		return openPostgres(cfg)
	case "sqlite":
		return openSQLite(ctx, cfg, rest)
	}
	return nil, errors.New("the database URL must be of the form postgres://user:password@host:port/name or " +
		"sqlite:<path>")
}

// open makes a gorm handle that leaves transactions, logging and statement caches to this package and the drivers.
func open(dialector gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction:   true,
		DisableNestedTransaction: true,
		DisableAutomaticPing:     true,
		TranslateError:           true,
		// PostgreSQL refuses a prepared "SELECT *" once a program of the next version has added a column.
		QueryFields: true,
		Logger:      logger.Discard,
		NowFunc:     func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
}

// Engine says which kind of database this is.
func (d *DB) Engine() Engine { return d.engine }

// ReadOnly reports whether the database refuses every change by this handle.
func (d *DB) ReadOnly() bool { return d.readOnly }

// Ping asks the server for a sign of life.
func (d *DB) Ping(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	handle, err := d.write.DB()
	if err != nil {
		return err
	}
	return Error(handle.PingContext(ctx))
}

// CheckWritable finds out whether a change would be accepted. SQLite, which a full disk leaves readable, is tried by a
// transaction that changes nothing that anybody reads. PostgreSQL is asked: its disk is not this process's to watch,
// but after a failover it may be a standby.
func (d *DB) CheckWritable(ctx context.Context) error {
	if d.engine == Postgres {
		return d.checkReadOnlyServer(ctx)
	}
	err := d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return tx.Exec("PRAGMA user_version = 1").Error })
	switch sqliteCode(err) & 0xff {
	case codes.SQLITE_FULL, codes.SQLITE_READONLY, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN:
		return Error(err)
	}
	return nil // a writer that is busy says nothing of the disk
}

// checkReadOnlyServer returns what the server would answer to a change if it takes none. Like Ping it waits for no
// turn.
func (d *DB) checkReadOnlyServer(ctx context.Context) error {
	handle, err := d.write.DB()
	if err != nil {
		return err
	}
	var readOnly string // a standby says on, too
	err = handle.QueryRowContext(ctx, "SHOW transaction_read_only").Scan(&readOnly)
	if err == nil && readOnly == "on" {
		const message = "cannot execute INSERT in a read-only transaction"
		return Error(&pgconn.PgError{Severity: "ERROR", Code: pgReadOnly, Message: message})
	}
	return nil // that it does not answer, Ping finds out
}

// Optimize updates SQLite's statistics of tables that have grown, from which it chooses between indexes; PostgreSQL
// does so by itself. Without statistics SQLite takes a value that most rows have for a rare one, and sorts all of
// these. The limit bounds the rows that are read of each index, and has SQLite keep no samples of values
// (sqlite_stat4), which an erasure of personal data would not reach.
//
// https://sqlite.org/pragma.html#pragma_optimize
func (d *DB) Optimize(ctx context.Context) error {
	if d.engine == Postgres || d.readOnly {
		return nil
	}
	return d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Exec("PRAGMA analysis_limit = 2000").Error; err != nil {
			return err
		}
		return tx.Exec("PRAGMA optimize = 0x10002").Error // all tables, not only those that this connection has queried
	})
}

// Stats are the figures of the pool that writes, for metrics.
func (d *DB) Stats() sql.DBStats {
	handle, err := d.write.DB()
	if err != nil {
		return sql.DBStats{}
	}
	return handle.Stats()
}

// Load is how busy the connections are, for metrics.
type Load struct {
	// Waiting is how many calls wait for a connection, Refused how many have been refused because none came free in
	// time.
	Waiting int
	Refused uint64
}

// Load reports how busy the connections are.
func (d *DB) Load() Load {
	l := Load{Waiting: int(d.gates.write.waiting.Load()), Refused: d.gates.write.refused.Load()}
	if d.gates.read != d.gates.write {
		l.Waiting += int(d.gates.read.waiting.Load())
		l.Refused += d.gates.read.refused.Load()
	}
	return l
}

// Close closes all connections. Transactions under way fail.
func (d *DB) Close() error {
	var errs []error
	for _, g := range []*gorm.DB{d.read, d.write} {
		handle, err := g.DB()
		if err == nil {
			err = handle.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Await waits until the database answers or ctx ends, and logs a line every few tries while it does not. A server that
// refuses the settings themselves it does not wait for.
func (d *DB) Await(ctx context.Context) error {
	const perLine, pause = 8, 250 * time.Millisecond
	for try := 1; ; try++ {
		err := d.Ping(ctx)
		if err == nil {
			return nil
		}
		if refused := refusal(err); refused != nil {
			return fmt.Errorf("the database at %s refuses the connection: %w", d.address, refused)
		}
		if try%perLine == 1 {
			d.log.WarnContext(ctx, "waiting for the database", "address", d.address, "tries", try, "error", err)
		}
		if clock.Sleep(ctx, pause) != nil {
			return fmt.Errorf("the database at %s did not answer in %d tries (%w); check that it runs and that the "+
				"database URL names it: %w",
				d.address, try, context.Cause(ctx), err)
		}
	}
}

// Read returns a handle for queries: that of the transaction which ctx carries, if it carries one that has begun. On
// SQLite it is otherwise a pool that cannot write. It is for one use: without a deadline in ctx it is good for 10 s.
func (d *DB) Read(ctx context.Context) *gorm.DB {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, defaultTimeout)
		context.AfterFunc(limited, cancel) // nobody tells when the rows have been read
		ctx = limited
	}
	if f := d.frame(ctx); f != nil {
		if tx := f.unit.tx.Load(); tx != nil {
			return session(ctx, tx)
		}
	}
	return session(ctx, d.read)
}

// Lock makes the query of tx take its rows FOR UPDATE. On SQLite the transaction has the write lock already.
func (d *DB) Lock(tx *gorm.DB) *gorm.DB {
	return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
}

// session is a fresh handle on the connections of g, without any of its conditions.
func session(ctx context.Context, g *gorm.DB) *gorm.DB {
	return g.Session(&gorm.Session{NewDB: true, Context: ctx})
}

// withDeadline gives ctx the default deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultTimeout)
}
