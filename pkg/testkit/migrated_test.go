package testkit

import (
	"context"
	"testing"
	"testing/fstest"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// TestCopiesAreApart: what a test writes is in no other's database, and other migrations make another one.
func TestCopiesAreApart(t *testing.T) {
	source := func(table string) []db.Migrations {
		file := &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE " + table + " (n bigint);\n")}
		return []db.Migrations{{Name: "copies", FS: fstest.MapFS{
			"postgres/00001_x.sql": file, "sqlite/00001_x.sql": file,
		}}}
	}
	for range 2 {
		for _, table := range []string{"a", "b"} {
			EachEngine(t, source(table), func(t *testing.T, d *db.DB) {
				var before int64
				if err := d.Read(t.Context()).Table(table).Count(&before).Error; err != nil || before != 0 {
					t.Errorf("%s has %d rows: %v", table, before, err)
				}
				err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					return tx.Exec("INSERT INTO " + table + " (n) VALUES (1)").Error
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}
