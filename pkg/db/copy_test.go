package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// counted is a database with one number.
func counted(t *testing.T, path string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), db.Config{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	err = d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return errors.Join(tx.Exec("CREATE TABLE IF NOT EXISTS n (n INTEGER, padding TEXT)").Error,
			tx.Exec("INSERT INTO n SELECT 0, hex(zeroblob(200000)) WHERE NOT EXISTS (SELECT 1 FROM n)").Error)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	if err := d.Read(t.Context()).Raw("SELECT n FROM n").Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCopySQLite copies three databases whose numbers rise one after the other: at each instant the first is as high
// as the last, or one higher.
func TestCopySQLite(t *testing.T) {
	dir := t.TempDir()
	var databases []*db.DB
	for i := range 3 {
		databases = append(databases, counted(t, filepath.Join(dir, fmt.Sprint(i, ".db"))))
	}
	ctx, stop := context.WithCancel(t.Context())
	rose := make(chan struct{}, 1)
	var writer sync.WaitGroup
	defer func() { stop(); writer.Wait() }()
	writer.Go(func() {
		for ctx.Err() == nil {
			for _, d := range databases {
				err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					return tx.Exec("UPDATE n SET n = n + 1").Error
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case rose <- struct{}{}:
			default:
			}
		}
	})
	for round := range 2 {
		<-rose
		before := number(t, databases[2])
		var copies []db.Copy
		for _, i := range []int{2, 0, 1} { // the order says nothing
			copies = append(copies, db.Copy{From: filepath.Join(dir, fmt.Sprint(i, ".db")),
				To: filepath.Join(dir, fmt.Sprint(i, "-", round, ".copy"))})
		}
		pages := 0
		if err := db.CopySQLite(ctx, copies, func(_ db.Copy, done, total int) { pages = total - done }); err != nil {
			t.Fatal(err)
		}
		var numbers [3]int
		for i := range numbers {
			path := filepath.Join(dir, fmt.Sprint(i, "-", round, ".copy"))
			info, err := os.Stat(path)
			if beside, _ := filepath.Glob(path + "-*"); err != nil || info.Mode() != 0o600 || len(beside) > 0 {
				t.Errorf("%v, %v, beside it %v", info.Mode(), err, beside)
			}
			numbers[i] = number(t, counted(t, path))
		}
		if numbers[0]-numbers[2] > 1 || numbers[0] < numbers[1] || numbers[1] < numbers[2] || numbers[2] < before ||
			pages != 0 {
			t.Errorf("copied %v, after %d; %d pages are left", numbers, before, pages)
		}
	}
}

// TestCopySQLiteFindsAnInstant: it begins to read when nobody is writing to any of the databases.
func TestCopySQLiteFindsAnInstant(t *testing.T) {
	dir := t.TempDir()
	first, second := counted(t, filepath.Join(dir, "1.db")), counted(t, filepath.Join(dir, "2.db"))
	raise := func(ctx context.Context, d *db.DB, wait func()) error {
		return d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			defer wait()
			return tx.Exec("UPDATE n SET n = n + 1").Error
		})
	}
	written, commit, ended := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() { ended <- raise(t.Context(), second, func() { close(written); <-commit }) }()
	<-written
	go func() {
		ended <- db.CopySQLite(t.Context(), []db.Copy{
			{From: filepath.Join(dir, "1.db"), To: filepath.Join(dir, "1.copy")},
			{From: filepath.Join(dir, "2.db"), To: filepath.Join(dir, "2.copy")},
		}, func(db.Copy, int, int) {})
	}()
	before := 0
	testkit.Eventually(t, 10*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := raise(ctx, first, func() {}); err == nil {
			before++
			return errors.New("the first database can be written to although the second is not free")
		}
		return nil
	})
	close(commit)
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	got := []int{number(t, counted(t, filepath.Join(dir, "1.copy"))),
		number(t, counted(t, filepath.Join(dir, "2.copy")))}
	if got[0] != before || got[1] != 1 {
		t.Errorf("copied %v, want %d and 1", got, before)
	}
}

func TestCopySQLiteFails(t *testing.T) {
	dir := t.TempDir()
	good, bad, taken := filepath.Join(dir, "good.db"), filepath.Join(dir, "bad.db"), filepath.Join(dir, "taken")
	counted(t, good)
	for _, file := range []string{bad, taken} {
		if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := filepath.Join(dir, "none.db")
	for name, c := range map[string]db.Copy{
		bad: {From: bad, To: filepath.Join(dir, "1")}, none: {From: none, To: filepath.Join(dir, "2")},
		taken: {From: good, To: taken},
	} {
		err := db.CopySQLite(t.Context(), []db.Copy{c}, func(db.Copy, int, int) {})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := db.CopySQLite(ctx, []db.Copy{{From: good, To: filepath.Join(dir, "3")}}, func(db.Copy, int, int) {
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}
