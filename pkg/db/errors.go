package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlite "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// ErrNotFound is what a query for one row returns when there is none.
var ErrNotFound = gorm.ErrRecordNotFound

// pgReadOnly is the SQLSTATE of a server that takes no changes: a standby during a failover, or Config.ReadOnly.
const pgReadOnly = "25006"

// pgAwayClasses are the classes of SQLSTATE that pass without anybody changing a program: connection, resources,
// intervention of an operator (the server stops, has crashed, or is starting; its timeouts), errors of its disk.
var pgAwayClasses = []string{"08", "53", "57", "58"}

// pgAway are further codes of that kind.
var pgAway = []string{
	"55P03", "25P03", // a timeout of the server
	pgReadOnly,
	"42501", "42P01", // the role has lost a right, or a table is missing: whoever looks after the server mends that
}

// Error makes an outage (server away, too many connections, deadline exceeded, disk full, a right or a table missing, a
// conflict that outlived its retries) apierr.ErrUnavailable with err as its cause. Everything else, also what is typed
// already, it returns as it is.
func Error(err error) error {
	if err == nil {
		return nil // at no cost: warm answers pass here
	}
	var typed *apierr.Error
	if errors.As(err, &typed) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || IsRetryable(err) || connectionLost(err) || serverRefuses(err) {
		return apierr.ErrUnavailable.WithCause(err)
	}
	return err
}

// explain is Error for a transaction under ctx, which database/sql ends by itself when ctx does: the statement after
// that fails for a reason that hides the deadline. A change by a handle that is read-only is apierr.ErrMaintenance.
func (d *DB) explain(ctx context.Context, err error) error {
	if d.readOnly && (pgCode(err) == pgReadOnly || sqliteCode(err)&0xff == codes.SQLITE_READONLY) {
		return apierr.ErrMaintenance.WithCause(err)
	}
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return Error(err)
}

// IsDuplicate reports whether err is the violation of a unique constraint.
func IsDuplicate(err error) bool {
	return errors.Is(err, gorm.ErrDuplicatedKey) || pgCode(err) == "23505" ||
		slices.Contains([]int{codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY}, sqliteCode(err))
}

// IsReadOnly reports whether err is the answer of a PostgreSQL server that takes no changes.
func IsReadOnly(err error) bool { return pgCode(err) == pgReadOnly }

// pgRefusals are what a server says of a connection that fails again for as long as nobody corrects the settings: user
// or password, the database, a parameter of the URL.
var pgRefusals = []string{"28P01", "28000", "3D000", "42704"}

// refusal is the answer of a server that does not take connections with these settings, nil for any other err.
func refusal(err error) error {
	var failure *pgconn.PgError
	if slices.Contains(pgRefusals, pgCode(err)) && errors.As(err, &failure) {
		return failure
	}
	return nil
}

// IsRetryable reports whether the transaction that failed with err was undone by the database and may succeed when run
// again.
func IsRetryable(err error) bool {
	switch pgCode(err) {
	case "40001", "40P01":
		return true
	case "0A000": // a prepared statement of before a change of its table; the driver prepares it anew
		var failure *pgconn.PgError
		return errors.As(err, &failure) && failure.Routine == "RevalidateCachedQuery"
	}
	return sqliteCode(err)&0xff == codes.SQLITE_BUSY
}

func connectionLost(err error) bool {
	var (
		connect *pgconn.ConnectError
		network net.Error
	)
	if errors.Is(err, context.Canceled) {
		return false // the caller has gone, not the server
	}
	return errors.As(err, &connect) || errors.As(err, &network) ||
		slices.ContainsFunc([]error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
			pgconn.ErrConnClosed},
			func(lost error) bool { return errors.Is(err, lost) })
}

func serverRefuses(err error) bool {
	if code := pgCode(err); code != "" {
		return slices.Contains(pgAwayClasses, code[:2]) || slices.Contains(pgAway, code)
	}
	switch sqliteCode(err) & 0xff {
	case codes.SQLITE_FULL, codes.SQLITE_INTERRUPT, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY:
		return true
	}
	return false
}

// pgCode is the SQLSTATE of err, "" when it has none.
func pgCode(err error) string {
	var failure *pgconn.PgError
	if errors.As(err, &failure) && len(failure.Code) == 5 {
		return failure.Code
	}
	return ""
}

// sqliteCode is the extended result code of err, 0 when it has none.
func sqliteCode(err error) int {
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		return failure.Code()
	}
	return 0
}
