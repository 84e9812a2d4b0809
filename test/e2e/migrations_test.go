//go:build unix

package e2e

import (
	"context"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// schemaOf is everything that a database's services have made, a line each.
const schemaOf = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
	SELECT table_schema || '.' || table_name || '.' || column_name || ' ' || data_type || ' ' ||
		is_nullable || ' ' || coalesce(column_default, '')
		FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
	UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
	UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
		WHERE connamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
) AS l(line)`

// database makes an empty one and returns its URL.
func (w *harness) database(name string) string {
	w.Helper()
	w.sql("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
	w.sql("CREATE DATABASE " + name + " TEMPLATE template0")
	u, err := url.Parse(w.Postgres.URL)
	if err != nil {
		w.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func (w *harness) schema(database string) string {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), database)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(w.Context())
	var schema *string
	if err := conn.QueryRow(w.Context(), schemaOf).Scan(&schema); err != nil {
		w.Fatal(err)
	}
	if schema == nil {
		return ""
	}
	return *schema
}

// migrating is the migrate command of a service, not started yet.
func (w *harness) migrating(ctx context.Context, service, database string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "../../bin/"+service, "migrate")
	for name, value := range with(w.settings(service), "LATCHKEY_DATABASE_URL", database) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// TestMigrationsTogether: eight processes start to migrate an empty database at once; all succeed.
func TestMigrationsTogether(t *testing.T) {
	w := start(t, processes)
	fresh, raced := w.database("fresh"), w.database("raced")
	for _, service := range services {
		w.ran(with(w.settings(service), "LATCHKEY_DATABASE_URL", fresh), service, "migrate")
	}
	var all sync.WaitGroup
	for _, service := range append(services, services...) {
		all.Go(func() {
			if out, err := w.migrating(t.Context(), service, raced).CombinedOutput(); err != nil {
				t.Errorf("%s migrate: %v\n%s", service, err, out)
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(strings.Split(w.schema(fresh), "\n"), strings.Split(w.schema(raced), "\n")); diff != "" {
		t.Errorf("-one after the other +at once:\n%s", diff)
	}
}

// TestKillDuringMigrations kills migrations at random points; the next one finishes what they left, and the schema is
// that of an undisturbed one.
func TestKillDuringMigrations(t *testing.T) {
	const rounds, kills = 4, 4
	w := start(t, processes)
	for _, service := range []string{"license", "analytics"} {
		fresh := w.database("fresh")
		begun := time.Now()
		w.ran(with(w.settings(service), "LATCHKEY_DATABASE_URL", fresh), service, "migrate")
		whole := time.Since(begun)
		killed := 0
		for range rounds {
			database := w.database("killed")
			for range kills {
				cmd := w.migrating(t.Context(), service, database)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				pause(rand.N(whole))
				_ = cmd.Process.Kill() // it may have ended
				if err := cmd.Wait(); err != nil {
					killed++
				}
			}
			w.ran(with(w.settings(service), "LATCHKEY_DATABASE_URL", database), service, "migrate")
			if diff := cmp.Diff(strings.Split(w.schema(fresh), "\n"),
				strings.Split(w.schema(database), "\n")); diff != "" {
				t.Errorf("%s: -undisturbed +killed:\n%s", service, diff)
			}
		}
		if t.Logf("%s: %d of %d migrations were killed", service, killed, rounds*kills); killed == 0 {
			t.Error("no migration was killed")
		}
	}
}
