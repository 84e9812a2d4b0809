//go:build unix

package compose

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// wantRolesConfined tries, as the role of each service, what is beyond its own schema. The services have made
// their tables.
func (c *composition) wantRolesConfined(t *testing.T) {
	t.Helper()
	for _, service := range suiteServices {
		conn, err := pgx.Connect(t.Context(), c.hosts.Replace(readSecret(t, c.compose, service+"_database_url")))
		if err != nil {
			t.Fatal(err)
		}
		tries := []string{
			"CREATE SCHEMA squatted", "CREATE TABLE public.x (n int)", "CREATE TEMP TABLE x (n int)",
			"CREATE ROLE x", "CREATE DATABASE x", "CREATE EXTENSION pg_trgm SCHEMA " + service,
			"COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('PG_VERSION')", "SET ROLE postgres",
		}
		for _, other := range suiteServices {
			if other != service {
				tries = append(tries,
					"SELECT * FROM "+other+".outbox", "CREATE TABLE "+other+".x (n int)",
					"DROP SCHEMA "+other+" CASCADE",
					"ALTER SCHEMA "+other+" RENAME TO x", "SET ROLE latchkey_"+other)
			}
		}
		for _, statement := range tries {
			var refusal *pgconn.PgError
			_, err := conn.Exec(t.Context(), statement)
			if !errors.As(err, &refusal) || refusal.Code != "42501" { // insufficient_privilege
				t.Errorf("%s may: %s (%v)", service, statement, err)
			}
		}
		var own bool
		if err := conn.QueryRow(t.Context(), "SELECT count(*) >= 0 FROM "+service+".outbox").Scan(&own); err != nil ||
			!own {
			t.Errorf("%s cannot read its own tables: %v", service, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
