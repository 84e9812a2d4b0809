package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/metric/noop"
	"gorm.io/driver/postgres"
)

// pgLimits are runtime parameters of every connection, in milliseconds where they are times: the server ends what a
// client has forgotten. A URL may set others.
var pgLimits = map[string]string{
	"statement_timeout":                   "30000",
	"lock_timeout":                        "10000",
	"idle_in_transaction_session_timeout": "30000",
	"jit":                                 "off", // our statements are short; compiling them costs more than it saves
}

const (
	// pgConns is for those who say nothing; a service says LATCHKEY_DATABASE_MAX_CONNS, 16 by default (app/base.go).
	pgConns          = 10
	pgConnectTimeout = 2 * time.Second
	// A connection that was idle for pgIdle must answer within pgPing before it is used: when a link went silent, its
	// connections are replaced within the time of the call that finds them.
	pgIdle = time.Second
	pgPing = 500 * time.Millisecond
	// pgSilence is after how long the system gives up on a server that acknowledges nothing.
	pgSilence = 5 * time.Second
	// Connections are renewed after pgConnLifetime and up to a fifth more, so that replicas started together do not
	// reconnect together.
	pgConnLifetime = 30 * time.Minute
)

func openPostgres(cfg Config) (*DB, error) {
	conn, err := parsePostgres(cfg)
	if err != nil {
		return nil, err
	}
	conns := stdlib.OpenDB(*conn, stdlib.OptionAfterConnect(readUTC), stdlib.OptionShouldPing(isDead))
	size := cmp.Or(cfg.MaxConns, pgConns)
	conns.SetMaxOpenConns(size)
	conns.SetMaxIdleConns(size) // the default of two would open and close connections all the time
	conns.SetConnMaxLifetime(pgConnLifetime + rand.N(pgConnLifetime/5))
	turns := newGate(size)
	handle, err := open(postgres.New(postgres.Config{Conn: pgPool{pool{conns, turns}}}))
	if err != nil {
		return nil, errors.Join(err, conns.Close())
	}
	migration := watched(conn)
	migration.RuntimeParams["statement_timeout"] = "0"
	d := &DB{
		engine:   Postgres,
		readOnly: cfg.ReadOnly,
		write:    handle,
		read:     handle,
		log:      cfg.Log,
		address:  fmt.Sprintf("%s/%s", net.JoinHostPort(conn.Host, fmt.Sprint(conn.Port)), conn.Database),
		migrator: pgMigrator{conn: migration, schema: cfg.Schema}.run,
		connect:  pgClaimant(conn),
	}
	d.gates.write, d.gates.read = turns, turns
	return d, nil
}

// watched is for connections of which the server, too, notices within eleven seconds that they are dead: they hold a
// lock for which others wait. Left to itself, it takes hours.
func watched(conn *pgx.ConnConfig) *pgx.ConnConfig {
	conn = conn.Copy()
	conn.RuntimeParams["tcp_keepalives_idle"] = "5"
	conn.RuntimeParams["tcp_keepalives_interval"] = "2"
	conn.RuntimeParams["tcp_keepalives_count"] = "3"
	return conn
}

// pgClaimant makes connections of their own.
func pgClaimant(conn *pgx.ConnConfig) func(context.Context) (*pgx.Conn, error) {
	claimant := watched(conn)
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, claimant.Copy()) }
}

// parsePostgres reads the URL of cfg. No error of a parser is passed on: they quote what they could not read, which may
// be a password.
func parsePostgres(cfg Config) (*pgx.ConnConfig, error) {
	if _, err := url.Parse(cfg.URL); err != nil {
		return nil, errors.New("the database URL cannot be read: expected postgres://user:password@host:port/name, " +
			"with special characters of the password percent-encoded")
	}
	conn, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, errors.New("the database URL has a part that PostgreSQL does not know: check host, port, " +
			"sslmode and the other parameters")
	}
	for name, value := range pgLimits {
		if _, set := conn.RuntimeParams[name]; !set {
			conn.RuntimeParams[name] = value
		}
	}
	if _, set := conn.RuntimeParams["application_name"]; !set {
		conn.RuntimeParams["application_name"] = strings.TrimSuffix("latchkey-"+cfg.Schema, "-")
	}
	if cfg.Schema != "" {
		conn.RuntimeParams["search_path"] = pgx.Identifier{cfg.Schema}.Sanitize()
	}
	conn.RuntimeParams["timezone"] = "UTC"
	if cfg.ReadOnly {
		conn.RuntimeParams["default_transaction_read_only"] = "on"
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = pgConnectTimeout
	}
	conn.DialFunc = dialer(conn.ConnectTimeout).DialContext
	if cfg.Traces != nil {
		conn.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(cfg.Traces),
			otelpgx.WithMeterProvider(noop.NewMeterProvider()))
	}
	return conn, nil
}

// readUTC makes times come back in UTC instead of the zone of this process.
func readUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// isDead tries a connection that was idle. The driver, told that it is dead, tries once more, finds it closed, and
// takes another.
func isDead(ctx context.Context, c stdlib.ShouldPingParams) bool {
	if c.IdleDuration < pgIdle {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pgPing)
	defer cancel()
	return c.Conn.Ping(ctx) != nil
}

// dialer makes connections whose death is noticed within seconds, also while nothing is sent.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pgSilence, Interval: time.Second, Count: 3},
		Control:         giveUpAfter(pgSilence),
	}
}

// pgMigrator lets one process at a time change a schema, through a session advisory lock.
type pgMigrator struct {
	conn   *pgx.ConnConfig
	schema string
}

func (m pgMigrator) run(ctx context.Context, fn func(*sql.DB) error) error {
	pool := stdlib.OpenDB(*m.conn)
	defer func() { _ = pool.Close() }()
	pool.SetMaxOpenConns(2) // the holder of the lock, and the one that migrates, which DB.waitForLocks sets up
	// Closing this connection is what gives the lock back, whatever happens before.
	holder, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = holder.Close() }()
	if err := m.lock(ctx, holder); err != nil {
		return fmt.Errorf("wait for another process that migrates: %w", err)
	}
	if err := m.createSchema(ctx, holder); err != nil {
		return err
	}
	return fn(pool)
}

// lock waits for however long another process migrates: nobody else stands behind this lock.
func (m pgMigrator) lock(ctx context.Context, holder *sql.Conn) error {
	if _, err := holder.ExecContext(ctx, "SET lock_timeout = 0"); err != nil {
		return err
	}
	_, err := holder.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockID("migrations of "+m.schema))
	return err
}

// createSchema creates nothing when an administrator has made the schema: the role need not have the right to create
// one. A schema of another role is refused here, rather than by each statement later on.
func (m pgMigrator) createSchema(ctx context.Context, holder *sql.Conn) error {
	if m.schema == "" {
		return nil
	}
	var usable bool
	err := holder.QueryRowContext(ctx, `SELECT has_schema_privilege(oid, 'USAGE')
		AND has_schema_privilege(oid, 'CREATE')
		FROM pg_namespace WHERE nspname = $1`, m.schema).Scan(&usable)
	name := pgx.Identifier{m.schema}.Sanitize()
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m.makeSchema(ctx, holder, name)
	case err == nil && !usable:
		return fmt.Errorf("the schema %s belongs to another role: have an administrator run ALTER SCHEMA %s OWNER "+
			"TO %s", name, name, m.role())
	}
	return err
}

func (m pgMigrator) makeSchema(ctx context.Context, holder *sql.Conn, name string) error {
	_, err := holder.ExecContext(ctx, "CREATE SCHEMA "+name)
	if pgCode(err) == "42501" { // insufficient_privilege
		return fmt.Errorf("there is no schema %s, and this role may not create it: have an administrator run CREATE "+
			"SCHEMA %s AUTHORIZATION %s: %w",
			name, name, m.role(), err)
	}
	if err != nil {
		return fmt.Errorf("create schema %s: %w", name, err)
	}
	return nil
}

func (m pgMigrator) role() string { return pgx.Identifier{m.conn.User}.Sanitize() }
