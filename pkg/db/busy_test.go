package db_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

// TestAnotherProcessHasTheSQLiteFile: a transaction waits for it no longer than its context allows, and gets the file
// when it comes free before.
func TestAnotherProcessHasTheSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	d, err := db.Open(t.Context(), db.Config{URL: "sqlite:" + path, Schema: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	free := hold(t, path)
	none := func(context.Context, *gorm.DB) error { return nil }

	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go func() { ended <- d.Tx(ctx, none) }()
	<-ctx.Done()
	select {
	case err := <-ended:
		if !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("answered %v", err)
		}
	case <-time.After(5 * time.Second): // half of the driver's usual patience
		t.Error("it waits on although its context has ended")
	}

	begun, cancelBegun := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancelBegun()
	go func() { ended <- d.Tx(begun, none) }()
	free()
	if err := <-ended; err != nil {
		t.Errorf("the file came free: %v", err)
	}
}

// hold takes the write lock of a SQLite file as another process would, until free is called.
func hold(t *testing.T, path string) (free func()) {
	t.Helper()
	file := url.URL{Scheme: "file", OmitHost: true, Path: path}
	other, err := sql.Open("sqlite", file.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := other.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}
