package db_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

const password = "pass-w0rd"

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestAwaitEndsWhenTheServerRefuses: what the server says of the URL does not mend itself.
func TestAwaitEndsWhenTheServerRefuses(t *testing.T) {
	for want, change := range map[string]func(*url.URL){
		"3D000": func(u *url.URL) { u.Path = "/nowhere" },
		"42704": func(u *url.URL) { u.RawQuery = "sslmod=disable" },
	} {
		t.Run(want, func(t *testing.T) {
			address, err := url.Parse(testkit.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			change(address)
			d, err := db.Open(t.Context(), db.Config{URL: address.String()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			err = d.Await(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") ||
				db.ServerRemedy(err) == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAStoppedServer(t *testing.T) {
	var logged bytes.Buffer
	d, err := db.Open(t.Context(), db.Config{
		URL: "postgres://lk:" + password + "@" + closedPort(t) + "/app", Schema: "s",
		Log: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if err != nil {
		t.Fatalf("Open waits for the server: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	calls := map[string]error{
		"tx":      d.Tx(ctx, nothing),
		"unit":    d.InUnit(ctx, func(context.Context) error { return nil }, nothing),
		"read":    db.Error(d.Read(ctx).Exec("SELECT 1").Error),
		"ping":    d.Ping(ctx),
		"migrate": d.Migrate(ctx, notes),
		"await":   d.Await(ctx),
	}
	for name, err := range calls {
		if !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
		if strings.Contains(fmt.Sprintf("%+v", err), password) {
			t.Errorf("%s leaks the password: %v", name, err)
		}
	}
	if text := calls["await"].Error(); !strings.Contains(text, "tries") || !strings.Contains(text, "/app") {
		t.Errorf("Await does not say what was tried: %s", text)
	}
	if text := logged.String(); !strings.Contains(text, "waiting for the database") ||
		strings.Contains(text, password) {
		t.Errorf("logged %s", text)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestAwaitReturnsWhenTheServerAnswers(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		if err := d.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBadURLsAreRefusedWithoutThePassword(t *testing.T) {
	for _, address := range []string{
		"", "mysql://lk:" + password + "@h/x", "host=h password=" + password, "sqlite:", "sqlite::memory:",
		"postgres://lk:" + password + "@h:port/x", "postgres://lk:%zz" + password + "@h/x",
		"postgres://lk:" + password + "/x@h:5432/x",
		"postgres://lk:" + password + "@h/x?sslmode=maybe",
		"postgres://lk:" + password + "@h/x?connect_timeout=" + password,
		"postgres://h/x?password=" + password + "&sslmode=" + password, "postgres://lk:a b" + password + "@h\x7f/x",
	} {
		_, err := db.Open(t.Context(), db.Config{URL: address})
		if err == nil {
			t.Errorf("%q was accepted", address)
			continue
		}
		if strings.Contains(fmt.Sprintf("%+v", err), password) {
			t.Errorf("the error leaks the password: %v", err)
		}
	}
}

// The settings that speed and safety hang on, as the server sees them.
func TestSettingsOfPostgres(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t) + "&lock_timeout=1234", Schema: "s"}, notes)
	want := map[string]string{
		"statement_timeout": "30s", "lock_timeout": "1234ms", "idle_in_transaction_session_timeout": "30s",
		"jit": "off", "search_path": `"s"`, "application_name": "latchkey-s", "TimeZone": "UTC",
	}
	got := map[string]string{}
	for name := range want {
		var value string
		if err := d.Read(t.Context()).Raw("SELECT current_setting(?)", name).Scan(&value).Error; err != nil {
			t.Fatal(err)
		}
		got[name] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if open := d.Stats().MaxOpenConnections; open != 10 {
		t.Errorf("a pool of %d, want 10", open)
	}
}

func TestThePoolKeepsItsConnections(t *testing.T) {
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "s", MaxConns: 4})
	held := make(chan struct{})
	results := make(chan error)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // long work may have half of them only
	defer cancel()
	for range 4 {
		go func() {
			results <- d.Tx(ctx, func(context.Context, *gorm.DB) error { <-held; return nil })
		}()
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		if n := d.Stats().InUse; n != 4 {
			return fmt.Errorf("%d in use", n)
		}
		return nil
	})
	close(held)
	for range 4 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if idle := d.Stats().Idle; idle != 4 {
		t.Fatalf("%d connections kept, want 4", idle)
	}
}

func TestSettingsOfSQLite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := testkit.Open(t, db.Config{URL: "sqlite:" + filepath.Join(dir, "x.db")}, notes)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "100", "temp_store": "2",
		"wal_autocheckpoint": "4000",
	} {
		var got string
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Raw("PRAGMA " + pragma).Scan(&got).Error
		})
		if err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	for _, name := range []string{"x.db", "x.db-wal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", name, info.Mode(), err)
		}
	}
	if open := d.Stats().MaxOpenConnections; open != 1 {
		t.Errorf("%d writers, want 1", open)
	}
}

func TestError(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	for name, tt := range map[string]struct {
		err  error
		away bool
	}{
		"nil":                    {nil, false},
		"not found":              {db.ErrNotFound, false},
		"duplicate":              {pg("23505"), false},
		"syntax":                 {pg("42601"), false},
		"canceled":               {context.Canceled, false},
		"odd code":               {pg("x"), false},
		"deadline":               {fmt.Errorf("query: %w", context.DeadlineExceeded), true},
		"too many connections":   {pg("53300"), true},
		"disk full":              {pg("53100"), true},
		"disk fails":             {pg("58030"), true},
		"database dropped":       {pg("57P04"), true},
		"right lost":             {pg("42501"), true},
		"table missing":          {pg("42P01"), true},
		"column missing":         {pg("42703"), false},
		"server stops":           {pg("57P01"), true},
		"server starts":          {pg("57P03"), true},
		"statement timeout":      {pg("57014"), true},
		"lock timeout":           {pg("55P03"), true},
		"deadlock":               {pg("40P01"), true},
		"connection failure":     {pg("08006"), true},
		"standby":                {pg("25006"), true},
		"bad connection":         {driver.ErrBadConn, true},
		"connection done":        {sql.ErrConnDone, true},
		"cut off":                {io.ErrUnexpectedEOF, true},
		"connection was refused": {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
	} {
		got := db.Error(tt.err)
		if errors.Is(got, apierr.ErrUnavailable) != tt.away {
			t.Errorf("%s: %v", name, got)
		}
		if !errors.Is(got, tt.err) {
			t.Errorf("%s: the cause is gone", name)
		}
	}
	typed := apierr.New(apierr.Conflict, "X", "x").WithCause(context.DeadlineExceeded)
	if got := db.Error(typed); !errors.Is(got, typed) || errors.Is(got, apierr.ErrUnavailable) {
		t.Errorf("a typed error became %v", got)
	}
}

// TestStatisticsKeepNoValues: an erasure of personal data does not look into the tables of SQLite.
func TestStatisticsKeepNoValues(t *testing.T) {
	const people = "CREATE TABLE people (name text); CREATE INDEX people_name ON people (name)"
	d := testkit.SQLite(t, source("people", people))
	find := func(query string) (n int) {
		t.Helper()
		if err := d.Read(t.Context()).Raw(query).Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 300 {
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO people VALUES (?)", fmt.Sprint("Ada ", i)).Error
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Optimize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := find("SELECT count(*) FROM sqlite_stat1 WHERE idx = 'people_name'"); n != 1 {
		t.Errorf("%d lines of statistics of the index", n)
	}
	if find("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat4'") == 1 &&
		find("SELECT count(*) FROM sqlite_stat4") > 0 {
		t.Error("the statistics have samples of values")
	}
}
