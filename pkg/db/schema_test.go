package db_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestTheSchemaIsMadeByTheRoleOrForIt: a role migrates a schema that is its own, whoever made it, and says what to
// do about another.
func TestTheSchemaIsMadeByTheRoleOrForIt(t *testing.T) {
	for name, test := range map[string]struct {
		setup string // by an administrator; %ROLE and %DB are the role and the database
		want  string // part of the error; empty: none
	}{
		"made for it":        {"CREATE SCHEMA license AUTHORIZATION %ROLE", ""},
		"it may make it":     {"GRANT CREATE ON DATABASE %DB TO %ROLE", ""},
		"it may not make it": {"", "CREATE SCHEMA \"license\" AUTHORIZATION"},
		"another role's":     {"CREATE SCHEMA license", "ALTER SCHEMA \"license\" OWNER TO"},
		"another's, which it reads": {"CREATE SCHEMA license; GRANT USAGE ON SCHEMA license TO %ROLE",
			"belongs to another role"},
	} {
		t.Run(name, func(t *testing.T) {
			address, err := url.Parse(testkit.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			database := strings.TrimPrefix(address.Path, "/")
			role := "role_of_" + database
			setup := "CREATE ROLE %ROLE LOGIN PASSWORD 'test'; REVOKE ALL ON DATABASE %DB FROM PUBLIC; " +
				"GRANT CONNECT ON DATABASE %DB TO %ROLE; " + test.setup
			asAdministrator(t, address.String(), strings.NewReplacer("%ROLE", role, "%DB", database).Replace(setup))
			t.Cleanup(func() { asAdministrator(t, address.String(), "DROP OWNED BY "+role+"; DROP ROLE "+role) })
			own := *address
			own.User = url.UserPassword(role, "test")
			d, err := db.Open(t.Context(), db.Config{URL: own.String(), Schema: "license", Log: testkit.Log(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			err = d.Migrate(t.Context(), notes)
			if test.want == "" && err != nil ||
				test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("migrate: %v, want %q", err, test.want)
			}
		})
	}
}

func asAdministrator(t *testing.T, address, statements string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // that of the test is over when it cleans up
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statements); err != nil {
		t.Fatal(err)
	}
}
