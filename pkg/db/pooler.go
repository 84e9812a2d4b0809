package db

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Pooled finds out whether the statements of a connection reach different sessions of PostgreSQL, as they do through a
// pooler in transaction mode. It opens two connections and closes them again.
func (d *DB) Pooled(ctx context.Context) (bool, error) {
	if d.engine == SQLite {
		return false, nil
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := d.connect(ctx)
		if err != nil {
			return false, Error(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		conns[i] = conn
	}
	for range 4 { // the first time a pooler may happen to have a session for each
		if moved, err := moves(ctx, conns[0], conns[1]); moved || err != nil {
			return moved, Error(err)
		}
	}
	return false, nil
}

// moves reports whether a transaction of another connection takes the session of conn.
func moves(ctx context.Context, conn, other *pgx.Conn) (bool, error) {
	before, err := sessionOf(ctx, conn)
	if err != nil {
		return false, err
	}
	if _, err := other.Exec(ctx, "BEGIN"); err != nil {
		return false, err
	}
	taken, err := sessionOf(ctx, other)
	if err != nil {
		return false, err
	}
	if taken == before { // it may be the only one there is
		return true, nil
	}
	after, err := sessionOf(ctx, conn)
	if err != nil {
		return false, err
	}
	_, err = other.Exec(ctx, "COMMIT")
	return after != before, err
}

// sessionOf names the session that a statement of conn reaches. It prepares nothing, which the next session would not
// know.
func sessionOf(ctx context.Context, conn *pgx.Conn) (pid int, err error) {
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid, err
}
