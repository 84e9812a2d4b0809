package testkit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Plan is what the database says it does for a query.
func Plan(t testing.TB, d *db.DB, query string, args []any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	verb := "EXPLAIN "
	if d.Engine() == db.SQLite {
		verb = "EXPLAIN QUERY PLAN "
	}
	rows, err := d.Read(ctx).Statement.ConnPool.QueryContext(ctx, verb+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		line, skipped := "", any(nil)
		into := []any{&line}
		if d.Engine() == db.SQLite {
			into = []any{&skipped, &skipped, &skipped, &line}
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil || len(lines) == 0 {
		t.Fatalf("no plan of %s: %v", query, err)
	}
	return strings.Join(lines, "\n")
}
