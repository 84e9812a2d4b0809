package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestReadOnly: by a read-only handle the database refuses what changes it, and migrations have nothing left to do.
func TestReadOnly(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return testkit.Postgres(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") },
	} {
		t.Run(engine, func(t *testing.T) {
			cfg := db.Config{URL: url(t), Schema: "test"}
			count := func(d *db.DB) (n int, err error) {
				err = d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					return tx.Raw("SELECT count(*) FROM notes").Scan(&n).Error
				})
				return n, err
			}
			add := func(d *db.DB) error {
				return d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					return tx.Exec("INSERT INTO notes (stars) VALUES (1)").Error
				})
			}
			early := openReadOnly(t, cfg)
			if err := early.Migrate(t.Context(), notes); err == nil || !strings.Contains(err.Error(), "migrate first") {
				t.Errorf("an empty database: %v", err)
			}
			writable := testkit.Open(t, cfg, notes)
			if err := add(writable); err != nil {
				t.Fatal(err)
			}
			readOnly := openReadOnly(t, cfg)
			if err := readOnly.Migrate(t.Context(), notes); err != nil || !readOnly.ReadOnly() {
				t.Errorf("a migrated database: %v", err)
			}
			if err := add(readOnly); !errors.Is(err, apierr.ErrMaintenance) {
				t.Errorf("a change is not refused: %v", err)
			}
			if n, err := count(readOnly); n != 1 || err != nil {
				t.Errorf("%d rows, %v", n, err)
			}
		})
	}
}

func openReadOnly(t *testing.T, cfg db.Config) *db.DB {
	t.Helper()
	cfg.ReadOnly = true
	d, err := db.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
