package testkit

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

const setupTimeout = 60 * time.Second

// Postgres returns the URL of a fresh, empty PostgreSQL database, which is dropped when the test ends. Without a server
// the test is skipped, or fails where everything must be real (NotCovered).
func Postgres(t testing.TB) string {
	t.Helper()
	return postgres(t, "template0")
}

// postgres is Postgres for a copy of a database.
func postgres(t testing.TB, template string) string {
	t.Helper()
	server := server(t, envDatabase, "PostgreSQL server")
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s cannot be read", envDatabase)
	}
	name := uniqueName()
	administer(t, server, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { administer(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	address.Path = "/" + name
	return address.String()
}

func administer(t testing.TB, server, statement string) {
	t.Helper()
	// Not the test's context: that is over when it cleans up.
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the PostgreSQL server of %s: %v", envDatabase, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// SQLite returns a fresh SQLite database with migrations applied.
func SQLite(t testing.TB, migrations ...db.Migrations) *db.DB {
	t.Helper()
	return Open(t, db.Config{URL: migratedFile(t, migrations)}, migrations...)
}

// Open opens the database of cfg with migrations applied, and closes it when the test ends.
func Open(t testing.TB, cfg db.Config, migrations ...db.Migrations) *db.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	defer cancel()
	if cfg.Log == nil {
		cfg.Log = Log(t)
	}
	d, err := db.Open(ctx, cfg)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	if err := d.Migrate(ctx, migrations...); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return d
}

// EachEngine runs test on a fresh database of every engine, as subtests sqlite and postgres.
func EachEngine(t *testing.T, migrations []db.Migrations, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t, migrations...)) })
	t.Run("postgres", func(t *testing.T) {
		test(t, Open(t, db.Config{URL: migratedPostgres(t, migrations), Schema: testSchema}, migrations...))
	})
}

// EachEngineInBubble is EachEngine with a clock, that of package time, which stands still while anything is under way,
// the database included: how long something takes is what it waits for, and no deadline passes because the computer is
// busy. See testing/synctest for what test may not do.
func EachEngineInBubble(t *testing.T, migrations []db.Migrations, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	in := func(cfg db.Config) func(t *testing.T) {
		return func(t *testing.T) { test(t, Open(t, cfg, migrations...)) }
	}
	t.Run("sqlite", func(t *testing.T) {
		synctest.Test(t, in(db.Config{URL: migratedFile(t, migrations)}))
	})
	t.Run("postgres", func(t *testing.T) {
		synctest.Test(t, in(db.Config{URL: migratedPostgres(t, migrations), Schema: testSchema}))
	})
}
