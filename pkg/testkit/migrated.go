package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Migrating an empty database takes most of a short test's time, so it is done once for each set of migrations, and
// copied. A copy is migrated by Open as every database is, which finds nothing to do.

// images are SQLite files with migrations applied, by the fingerprint of these.
var images sync.Map

// migratedFile writes a SQLite database with migrations applied to a new folder, and returns its URL.
func migratedFile(t testing.TB, migrations []db.Migrations) string {
	t.Helper()
	once := sync.OnceValues(func() ([]byte, error) { return sqliteImage(migrations) })
	image, _ := images.LoadOrStore(fingerprint(t, migrations), once)
	content, err := image.(func() ([]byte, error))()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := errors.Join(err, os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatalf("make a SQLite database: %v", err)
	}
	return "sqlite:" + path
}

func sqliteImage(migrations []db.Migrations) ([]byte, error) {
	dir, err := os.MkdirTemp("", "latchkey-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "test.db")
	if err := migrate(db.Config{URL: "sqlite:" + path}, migrations); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func migrate(cfg db.Config, migrations []db.Migrations) error {
	// Not a test's context: what is made outlives it.
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	cfg.Log = slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx, migrations...), d.Close())
}

// fingerprint is of all that migrations say.
func fingerprint(t testing.TB, migrations []db.Migrations) string {
	t.Helper()
	sum := sha256.New()
	for _, m := range migrations {
		fmt.Fprintf(sum, "%q\n", m.Name)
		err := fs.WalkDir(m.FS, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(m.FS, path)
			fmt.Fprintf(sum, "%q %q\n", path, content)
			return err
		})
		if err != nil {
			t.Fatalf("read the migrations of %s: %v", m.Name, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// testSchema is where the tables of EachEngine are in PostgreSQL.
const testSchema = "test"

// templates are the databases on the PostgreSQL server with migrations applied, by the fingerprint of these.
var templates sync.Map

// migratedPostgres returns the URL of a fresh database with migrations applied, which is dropped when the test ends.
func migratedPostgres(t testing.TB, migrations []db.Migrations) string {
	t.Helper()
	address := server(t, envDatabase, "PostgreSQL server")
	name := "lk_template_" + fingerprint(t, migrations)
	once := sync.OnceValue(func() error { return makeTemplate(address, name, migrations) })
	made, _ := templates.LoadOrStore(name, once)
	if err := made.(func() error)(); err != nil {
		t.Fatalf("make the template of PostgreSQL databases: %v", err)
	}
	return postgres(t, name)
}

// makeTemplate makes a database that others are copied from, unless the server has it. It stays there: test programs of
// other packages, and later runs, use it, too. Nobody can connect to it, because PostgreSQL copies no database that
// somebody is connected to.
func makeTemplate(server, name string, migrations []db.Migrations) error {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	// It gets its name when it is complete.
	draft := uniqueName()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+draft+" TEMPLATE template0"); err != nil {
		return err
	}
	defer func() { _, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+draft) }()
	at, err := url.Parse(server)
	if err != nil {
		return errors.New(envDatabase + " cannot be read")
	}
	at.Path = "/" + draft
	if err := migrate(db.Config{URL: at.String(), Schema: testSchema}, migrations); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+draft+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
	const duplicateDatabase = "42P04"
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == duplicateDatabase {
		return nil // another program was faster
	}
	return err
}
