//go:build unix

package e2e

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver to look into the files of the embedded suite

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// everyRow has see look at each row of all tables of the services, which are named service.table, or of those whose
// names end so. A row is good until see returns.
func (w *harness) everyRow(see func(table string, row [][]byte), end ...string) {
	w.Helper()
	if !w.embedded {
		w.rowsInPostgres(strings.Join(end, ""), see)
		return
	}
	for _, service := range app.Services() {
		w.rowsInFile(service, strings.Join(end, ""), see)
	}
}

func (w *harness) rowsInPostgres(end string, see func(table string, row [][]byte)) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.Postgres.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(w.Context())
	const all = `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`
	rows, _ := conn.Query(w.Context(), all) // its error comes with the rows
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		w.Fatal(names, err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, end) {
			continue
		}
		rows, _ := conn.Query(w.Context(), "SELECT * FROM "+name)
		for rows.Next() {
			see(name, rows.RawValues())
		}
		if err := rows.Err(); err != nil {
			w.Fatal(name, err)
		}
	}
}

func (w *harness) rowsInFile(service, end string, see func(table string, row [][]byte)) {
	w.Helper()
	file, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "latchkey-data", service+".db")+
		"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		w.Fatal(err)
	}
	defer file.Close()
	var names []string
	w.rows(file, "SELECT name FROM sqlite_master WHERE type = 'table'", func(row [][]byte) {
		names = append(names, string(row[0]))
	})
	if len(names) == 0 {
		w.Fatalf("%s has no tables", service)
	}
	for _, name := range names {
		if table := service + "." + name; strings.HasSuffix(table, end) {
			w.rows(file, `SELECT * FROM "`+name+`"`, func(row [][]byte) { see(table, row) })
		}
	}
}

// rows has see look at each row of a query, as bytes.
func (w *harness) rows(db *sql.DB, query string, see func(row [][]byte)) {
	w.Helper()
	rows, err := db.QueryContext(w.Context(), query)
	if err != nil {
		w.Fatal(query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	row, places := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range row {
		places[i] = &row[i]
	}
	for err == nil && rows.Next() {
		if err = rows.Scan(places...); err == nil {
			see(bytesOf(row))
		}
	}
	if err := errors.Join(err, rows.Err()); err != nil {
		w.Fatal(query, err)
	}
}

func bytesOf(row []sql.RawBytes) [][]byte {
	values := make([][]byte, len(row))
	for i := range row {
		values[i] = row[i]
	}
	return values
}
