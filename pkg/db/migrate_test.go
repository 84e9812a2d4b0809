package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// source makes migrations that are the same on both engines.
func source(name string, statements ...string) db.Migrations {
	files := fstest.MapFS{}
	for i, statement := range statements {
		for _, engine := range []db.Engine{db.Postgres, db.SQLite} {
			file := string(engine) + "/0000" + string(rune('1'+i)) + "_step.sql"
			files[file] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + statement + ";\n")}
		}
	}
	return db.Migrations{Name: name, FS: files}
}

// eachConfig calls test with the configuration of an empty database of each engine.
func eachConfig(t *testing.T, test func(t *testing.T, cfg db.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, db.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "new folder", "100%?.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, db.Config{URL: testkit.Postgres(t) + "&search_path=elsewhere", Schema: "licensing"})
	})
}

// slow takes long enough for others to get in between.
const slow = `CREATE TABLE slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT max(i) AS i FROM n`

func TestMigrateFromManyProcessesAtOnce(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		first := source("first", "CREATE TABLE a (n integer);\n"+slow, "INSERT INTO a VALUES (1)")
		second := source("second", "CREATE TABLE b (n integer)", "INSERT INTO b SELECT n FROM a")
		errs := make([]error, 5)
		var all sync.WaitGroup
		for i := range errs {
			d := testkit.Open(t, cfg)
			all.Go(func() { errs[i] = d.Migrate(t.Context(), first, second) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		d := testkit.Open(t, cfg, first, second)
		var rows int
		err := d.Read(t.Context()).Raw("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)").Scan(&rows).Error
		if err != nil || rows != 2 {
			t.Fatalf("%d rows, want 2: each migration once (%v)", rows, err)
		}
	})
}

func TestMigrateCreatesAndUsesItsSchemaWhateverTheURLSays(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t) + "&search_path=public", Schema: `my "schema"`}, notes)
	var where string
	err := d.Read(t.Context()).Raw("SELECT schemaname FROM pg_tables WHERE tablename = 'notes'").Scan(&where).Error
	if err != nil || where != `my "schema"` {
		t.Fatalf("the table is in %q (%v)", where, err)
	}
}

func TestMigrateRefusesADatabaseThatIsNewer(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		testkit.Open(t, cfg, source("s", "CREATE TABLE a (n integer)", "CREATE TABLE b (n integer)"))
		err := testkit.Open(t, cfg).Migrate(t.Context(), source("s", "CREATE TABLE a (n integer)"))
		if err == nil || !strings.Contains(err.Error(), "version 2 and this program knows only 1") {
			t.Fatalf("error %v", err)
		}
	})
}

func TestAFailedMigrationLeavesNothingAndCanBeMended(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg)
		if err := d.Migrate(t.Context(), source("s", "CREATE TABLE a (n integer);\nINSERT INTO nowhere VALUES (1)")); err == nil {
			t.Fatal("no error")
		}
		if err := d.Migrate(t.Context(), source("s", "CREATE TABLE a (n integer)")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMigrateRefusesNames(t *testing.T) {
	d := testkit.SQLite(t)
	for _, name := range []string{"", "a b", `x"; DROP TABLE a; --`, "Capital"} {
		if err := d.Migrate(t.Context(), source(name, "CREATE TABLE a (n integer)")); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestMigrateEndsWithItsContext(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := testkit.Open(t, cfg).Migrate(ctx, notes); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
	})
}
