package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"

	sqlite "modernc.org/sqlite"
)

// counting counts what its connections compile.
type counting struct {
	driver.Connector
	compiled *int
}

type countingConn struct {
	rawConn
	compiled *int
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &countingConn{opened.(rawConn), c.compiled}, nil
}

func (c *countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	*c.compiled++
	return c.rawConn.PrepareContext(ctx, query)
}

func open(t *testing.T) (pool *sql.DB, compiled *int) {
	t.Helper()
	connector, err := sqlite.NewConnector("file:" + filepath.Join(t.TempDir(), "t.db"))
	if err != nil {
		t.Fatal(err)
	}
	compiled = new(int)
	pool = sql.OpenDB(Connector{counting{connector, compiled}})
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := pool.Exec(`CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2), (3)`); err != nil {
		t.Fatal(err)
	}
	*compiled = 0
	return pool, compiled
}

func TestAStatementIsCompiledOnce(t *testing.T) {
	pool, compiled := open(t)
	for i := range 10 {
		tx, err := pool.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM t WHERE n <= ?`, i).Scan(&n); err != nil || n != min(i, 3) {
			t.Fatalf("%d rows up to %d, %v", n, i, err)
		}
		if res, err := tx.Exec(`UPDATE t SET n = n WHERE n = ?`, i); err != nil {
			t.Fatal(res, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if *compiled != 2 {
		t.Errorf("compiled %d times, want 2", *compiled)
	}
}

func TestAStatementWithinItself(t *testing.T) {
	pool, _ := open(t)
	tx, err := pool.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	var pairs int
	const query = `SELECT n FROM t ORDER BY n`
	outer, err := tx.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	for outer.Next() {
		inner, err := tx.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			pairs++
		}
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := outer.Close(); err != nil || pairs != 9 {
		t.Errorf("%d pairs, %v, want 9", pairs, err)
	}
}

func TestAStatementThatFailedIsGoodAgain(t *testing.T) {
	pool, _ := open(t)
	if _, err := pool.Exec(`CREATE UNIQUE INDEX one ON t (n)`); err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO t VALUES (?)`
	for _, n := range []int{4, 1, 5} {
		if _, err := pool.Exec(insert, n); (err != nil) != (n == 1) {
			t.Errorf("insert %d: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool.ExecContext(ctx, insert, 6); err == nil {
		t.Error("carried out although its context had ended")
	}
	if _, err := pool.Exec(`DROP TABLE t`); err != nil { // the statements kept do not stand in its way
		t.Error(err)
	}
	if _, err := pool.Exec(insert, 7); err == nil {
		t.Error("a statement outlived its table")
	}
}

func TestFewStatementsAreKept(t *testing.T) {
	pool, compiled := open(t)
	for i := range 3 * keptStatements {
		var n int
		if err := pool.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
			t.Fatal(n, err)
		}
	}
	*compiled = 0
	for _, i := range []int{3*keptStatements - 1, 0} {
		var n int
		if err := pool.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if *compiled != 1 {
		t.Errorf("compiled %d of the latest and the first statement, want 1", *compiled)
	}
}
