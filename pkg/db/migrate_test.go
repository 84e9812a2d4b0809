package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"gorm.io/gorm"

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
const slow = `CREATE TABLE slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
	SELECT max(i) AS i FROM n`

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

// TestOlderProgramsStartOnANewerDatabase, unless a migration takes away what they look for.
func TestOlderProgramsStartOnANewerDatabase(t *testing.T) {
	const a, b, c = "CREATE TABLE a (n integer)", "CREATE TABLE b (n integer)", "ALTER TABLE a RENAME TO c"
	for name, tt := range map[string]struct {
		newest, before db.Migrations
		refused        bool
	}{
		"added to":                     {source("s", a, b), source("s", a), false},
		"needs what it knows":          {source("s", a, "-- latchkey:needs 1\n"+b), source("s", a), false},
		"needs more":                   {source("s", a, "-- latchkey:needs 2\n"+c), source("s", a), true},
		"needs more, and was added to": {source("s", a, "-- latchkey:needs 2\n"+c, b), source("s", a), true},
		"knows all but what was added": {source("s", a, "-- latchkey:needs 2\n"+c, b),
			source("s", a, "-- latchkey:needs 2\n"+c), false},
		"says it where it is not a line":  {source("s", a, "-- not: -- latchkey:needs 2\n"+b), source("s", a), false},
		"added to, of another beginning":  {source("s", b, a), source("s", a), true},
		"needs more, as of another table": {source("other", a, "-- latchkey:needs 2\n"+c), source("s", b), false},
	} {
		t.Run(name, func(t *testing.T) {
			eachConfig(t, func(t *testing.T, cfg db.Config) {
				testkit.Open(t, cfg, tt.newest)
				d := testkit.Open(t, cfg)
				_, told := d.Versions(t.Context(), tt.before)
				for _, err := range []error{told, d.Migrate(t.Context(), tt.before)} {
					if (err != nil) != tt.refused {
						t.Errorf("error %v, refused %t", err, tt.refused)
					}
				}
			})
		})
	}
}

// TestMigrateAddsToOlderChecksums: they did not say which programs a schema needs.
func TestMigrateAddsToOlderChecksums(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg, notes)
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("ALTER TABLE migration_checksums DROP COLUMN needs").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		newer := source("s", "-- latchkey:needs 1\nCREATE TABLE a (n integer)")
		if err := d.Migrate(t.Context(), notes, newer, newer); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAFailedMigrationLeavesNothingAndCanBeMended(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg)
		if err := d.Migrate(t.Context(), source("s",
			"CREATE TABLE a (n integer);\nINSERT INTO nowhere VALUES (1)")); err == nil {
			t.Fatal("no error")
		}
		if err := d.Migrate(t.Context(), source("s", "CREATE TABLE a (n integer)")); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMigrateAgainAfterADeadlock: a migration that PostgreSQL gives up, for an older program whose transaction waits
// for it and has what it waits for, is carried out again, and nothing of the first time is left.
func TestMigrateAgainAfterADeadlock(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "licensing"})
	const deadlocked = `CREATE TABLE a (n integer);
-- +goose StatementBegin
DO $$ BEGIN
	IF nextval('tries') = 1 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
END $$;
-- +goose StatementEnd
INSERT INTO a VALUES (1)`
	if err := d.Migrate(t.Context(), source("s", "CREATE SEQUENCE tries", deadlocked)); err != nil {
		t.Fatal(err)
	}
	var rows int
	err := d.Read(t.Context()).Raw("SELECT (SELECT count(*) FROM a) + last_value FROM tries").Scan(&rows).Error
	if err != nil || rows != 3 {
		t.Errorf("one row after two tries is wanted, in sum 3: %d, %v", rows, err)
	}
}

// migrateBesideLock has a transaction hold a table in a lock mode, begins a migration of that table, and calls
// meanwhile. Then the transaction ends, and the migration must.
func migrateBesideLock(t *testing.T, mode string, meanwhile func(d *db.DB)) {
	t.Helper()
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	steps := []string{"CREATE TABLE a (n integer)", "ALTER TABLE a ADD COLUMN m integer"}
	d := testkit.Open(t, cfg, source("s", steps[:1]...))
	held, done := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	end := sync.OnceFunc(func() { close(done) })
	defer end()
	all.Go(func() {
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			err := tx.Exec("LOCK TABLE a IN " + mode + " MODE").Error
			close(held)
			<-done
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	migrated, newer := make(chan error, 1), testkit.Open(t, cfg)
	go func() { migrated <- newer.Migrate(t.Context(), source("s", steps...)) }()
	meanwhile(d)
	end()
	if err := <-migrated; err != nil {
		t.Fatal(err)
	}
	if err := d.Read(t.Context()).Raw("SELECT count(m) FROM a").Scan(new(int)).Error; err != nil {
		t.Errorf("after the migration: %v", err)
	}
}

// awaitRow waits until a query finds something.
func awaitRow(t *testing.T, d *db.DB, query string) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func() error {
		var found bool
		err := d.Read(t.Context()).Raw("SELECT EXISTS (" + query + ")").Scan(&found).Error
		if err == nil && !found {
			err = errors.New("nothing is found by " + query)
		}
		return err
	})
}

// TestMigrateBesideAnAutovacuum: PostgreSQL has an autovacuum make way for a statement that has waited for a second,
// and not for one that waits for less, however often. A transaction stands for it here, which ends as soon as it sees
// such a wait.
func TestMigrateBesideAnAutovacuum(t *testing.T) {
	defer db.MigrationsWaitFor(20*time.Millisecond, time.Minute)()
	migrateBesideLock(t, "SHARE UPDATE EXCLUSIVE", func(d *db.DB) {
		awaitRow(t, d, `SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database()
			AND a.query_start < clock_timestamp() - current_setting('deadlock_timeout')::interval`)
	})
}

// TestMigrateBesideALongTransaction: while it waits for a table, the others that use it go on.
func TestMigrateBesideALongTransaction(t *testing.T) {
	defer db.MigrationsWaitFor(200*time.Millisecond, 200*time.Millisecond)()
	migrateBesideLock(t, "ACCESS SHARE", func(d *db.DB) {
		awaitRow(t, d, `SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO a VALUES (1)").Error
		})
		if err != nil {
			t.Errorf("beside a migration that waits: %v", err)
		}
	})
}

// TestMigrateIsMissed: the server notices within seconds that a process is gone whose end others wait for, and none of
// its statements is cut off for its length.
func TestMigrateIsMissed(t *testing.T) {
	note := source("s", `CREATE TABLE noted AS SELECT name, setting FROM pg_settings
		WHERE name LIKE 'tcp\_keepalives\_%' OR name = 'statement_timeout'`)
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t)}, note)
	var noted []string
	err := d.Read(t.Context()).Raw("SELECT name || ' ' || setting FROM noted ORDER BY name").Scan(&noted).Error
	want := []string{"statement_timeout 0", "tcp_keepalives_count 3", "tcp_keepalives_idle 5",
		"tcp_keepalives_interval 2"}
	if err != nil || !slices.Equal(noted, want) {
		t.Errorf("a connection that migrates has %q, %v", noted, err)
	}
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

// TestMigrateRefusesAnotherHistory: a migration that was changed after a database applied it made another schema.
func TestMigrateRefusesAnotherHistory(t *testing.T) {
	const a, b, c = "CREATE TABLE a (n integer)", "CREATE TABLE b (n integer)", "CREATE TABLE c (n integer)"
	for name, tt := range map[string]struct {
		next    db.Migrations
		refused string // empty: fine
	}{
		"the same":       {source("s", a, b), ""},
		"one more":       {source("s", a, b, c), ""},
		"first changed":  {source("s", a+"; CREATE INDEX i ON a (n)", b), "migration 1 of s differs"},
		"last changed":   {source("s", a, b+" -- and a comment"), "migration 2 of s differs"},
		"changed, added": {source("s", b, a, c), "migration 1 of s differs"},
		"another source": {source("other", c), ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachConfig(t, func(t *testing.T, cfg db.Config) {
				testkit.Open(t, cfg, source("s", a, b))
				d := testkit.Open(t, cfg)
				versions, told := d.Versions(t.Context(), tt.next)
				if name == "one more" && (len(versions) != 1 ||
					versions[0] != db.Version{Name: "s", Current: 2, Known: 3}) {
					t.Errorf("versions %+v", versions)
				}
				for _, err := range []error{told, d.Migrate(t.Context(), tt.next), d.Migrate(t.Context(), tt.next)} {
					if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
						t.Errorf("error %v, want %q", err, tt.refused)
					}
					if err != nil && strings.Contains(err.Error(), "\n") {
						t.Errorf("more than a line: %v", err)
					}
				}
				if err := d.Read(t.Context()).Exec("SELECT * FROM c").Error; tt.refused != "" && err == nil {
					t.Error("a later migration was applied nevertheless")
				}
			})
		})
	}
}

// TestMigrateRefusesAnUnknownHistory: of a database that was made before checksums were kept, nobody knows what made
// it.
func TestMigrateRefusesAnUnknownHistory(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg, notes)
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("DROP TABLE migration_checksums").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Migrate(t.Context(), notes); err == nil ||
			!strings.Contains(err.Error(), "start on an empty database") {
			t.Fatalf("error %v", err)
		}
	})
}

// TestMigrateIsMendedAfterAnInterruption: checksums of migrations that were not applied count for nothing.
func TestMigrateIsMendedAfterAnInterruption(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg)
		broken := source("s", "CREATE TABLE a (n integer)", "INSERT INTO nowhere VALUES (1)")
		for range 2 {
			if err := d.Migrate(t.Context(), broken); err == nil {
				t.Fatal("no error")
			}
		}
		for range 2 {
			if err := d.Migrate(t.Context(),
				source("s", "CREATE TABLE a (n integer)", "CREATE TABLE b (n integer)")); err != nil {
				t.Fatal(err)
			}
		}
	})
}
