package db

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	codes "modernc.org/sqlite/lib"
)

// Diagnosis is what an operator wants to know of a database that answers.
type Diagnosis struct {
	// Server is the version of the server or library.
	Server string
	// Clock is the server's time, between Before and After of this process.
	Clock, Before, After time.Time
	// MaxConnections is how many the server takes, 0 for an embedded one.
	MaxConnections int
	// Unusable are the tables of the schema that the role may not read and change.
	Unusable []string
}

// Diagnose asks the server about itself and changes nothing.
func (d *DB) Diagnose(ctx context.Context) (g Diagnosis, err error) {
	g.Before = time.Now()
	if d.engine == SQLite {
		err = d.Read(ctx).Raw("SELECT 'SQLite ' || sqlite_version()").Scan(&g.Server).Error
		g.After = time.Now()
		g.Clock = g.Before
		return g, Error(err)
	}
	const asked = `SELECT 'PostgreSQL ' || current_setting('server_version') AS server, clock_timestamp() AS clock,
		current_setting('max_connections')::integer AS max_connections`
	var row struct {
		Server         string
		Clock          time.Time
		MaxConnections int
	}
	err = d.Read(ctx).Raw(asked).Scan(&row).Error
	g.Server, g.Clock, g.MaxConnections, g.After = row.Server, row.Clock, row.MaxConnections, time.Now()
	if err != nil {
		return g, Error(err)
	}
	const unusable = `SELECT tablename FROM pg_tables,
		LATERAL (SELECT quote_ident(schemaname) || '.' || quote_ident(tablename)) AS t (name)
	WHERE schemaname = current_schema() AND NOT (has_table_privilege(t.name, 'SELECT')
		AND has_table_privilege(t.name, 'INSERT') AND has_table_privilege(t.name, 'UPDATE')
		AND has_table_privilege(t.name, 'DELETE'))
	ORDER BY tablename`
	return g, Error(d.Read(ctx).Raw(unusable).Scan(&g.Unusable).Error)
}

// Skew is how far the clock of this process is behind the server's; negative is ahead.
func (g Diagnosis) Skew() time.Duration {
	return g.Clock.Sub(g.Before.Add(g.After.Sub(g.Before) / 2))
}

// Remedy is what to do about an error of a database or the connection to its server, "" where nobody knows.
func Remedy(err error) string {
	var name *net.DNSError
	switch {
	case pgCode(err) != "" || sqliteCode(err) != 0:
		return ServerRemedy(err)
	case errors.As(err, &name):
		return "its name is not known: correct the host in LATCHKEY_DATABASE_URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server, or correct host and port in LATCHKEY_DATABASE_URL"
	case errors.Is(err, context.DeadlineExceeded):
		return "nothing answers there: look at the network and firewalls on the way"
	case strings.Contains(err.Error(), "TLS"):
		return "correct sslmode in LATCHKEY_DATABASE_URL, or have the server offer TLS"
	}
	return ""
}

// ServerRemedy is what to do about what the server, or SQLite, has answered, "" where nobody knows.
func ServerRemedy(err error) string {
	switch sqliteCode(err) & 0xff {
	case codes.SQLITE_NOTADB, codes.SQLITE_CORRUPT:
		return "the file of the database is damaged: restore a backup"
	}
	return remedies[pgCode(err)]
}

// Blocker is a session of the server that others wait for.
type Blocker struct {
	PID       int    `gorm:"column:pid"`
	Role, App string // who it is
}

// Blockers are the sessions that those of this role have waited for, longer than changes hold a lock.
func (d *DB) Blockers(ctx context.Context) (found []Blocker, err error) {
	if d.engine == SQLite {
		return nil, nil
	}
	const blocking = `SELECT DISTINCT b.pid, coalesce(b.usename, '') AS role, coalesce(b.application_name, '') AS app
		FROM pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) AS p (pid) JOIN pg_stat_activity b ON b.pid = p.pid
		WHERE w.usename = current_user AND w.datname = current_database() AND w.wait_event_type = 'Lock'
			AND clock_timestamp() - w.query_start > interval '500 ms'
		ORDER BY b.pid`
	return found, Error(d.Read(ctx).Raw(blocking).Scan(&found).Error)
}

// remedies are by SQLSTATE.
var remedies = map[string]string{
	"28P01": "correct user and password in LATCHKEY_DATABASE_URL",
	"28000": "correct user and password in LATCHKEY_DATABASE_URL, make the role, or let it in by pg_hba.conf",
	"3D000": "create the database (deploy/postgres/roles.sh makes roles and schemas in it), or correct its name in " +
		"LATCHKEY_DATABASE_URL",
	"42704": "correct the parameters at the end of LATCHKEY_DATABASE_URL",
	"42501": "the role lacks a right: deploy/postgres/roles.sh makes roles that have all of theirs",
	"08P01": "a pooler on the way does not take what each connection sets: connect to PostgreSQL directly, or have " +
		"the pooler pass it on (PgBouncer: ignore_startup_parameters), in session mode",
	"53300": "raise max_connections of the server, or lower LATCHKEY_DATABASE_MAX_CONNS of all services",
	"25006": "the server takes no changes: it is a standby, or default_transaction_read_only is on (of the server, " +
		"the database or the role); while that is on purpose, set LATCHKEY_MAINTENANCE=true",
	"53100": "make room on the disk of the database server",
	"42P01": "a table is missing: restore the database, or start on an empty one",
	"57P03": "the server is starting or stopping: wait, and look at its log",
}
