package db_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

func TestPipeline(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		until := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		insert(t, d, note{Seq: 1, Body: db.JSON(`{"a": 1}`), At: until}, note{Seq: 2, Until: &until})
		var before, after []note
		var most []struct{ Latest db.Time }
		find := func(rows *[]note) func(*gorm.DB) *gorm.DB {
			return func(tx *gorm.DB) *gorm.DB { return tx.Table("notes").Order("seq").Find(rows) }
		}
		pipeline := func(_ context.Context, tx *gorm.DB) error {
			return db.Pipeline(tx, find(&before),
				func(tx *gorm.DB) *gorm.DB { return tx.Exec("UPDATE notes SET stars = stars + ? WHERE seq = 2", 5) },
				func(tx *gorm.DB) *gorm.DB { return tx.Raw("SELECT max(until) AS latest FROM notes").Find(&most) },
				find(&after))
		}
		if err := d.Tx(t.Context(), pipeline); err != nil {
			t.Fatal(err)
		}
		var read []note
		if err := d.Read(t.Context()).Table("notes").Order("seq").Find(&read).Error; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(read, after); diff != "" || len(most) != 1 || !most[0].Latest.Equal(until) {
			t.Errorf("%+v, and read again otherwise:\n%s", most, diff)
		}
		if len(before) != 2 || after[1].Stars != before[1].Stars+5 {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// TestAPipelineFailsAsAWhole with its transaction, and is retried with it.
func TestAPipelineFailsAsAWhole(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		tries := 0
		var found []note
		err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
			tries++
			err := db.Pipeline(tx,
				func(tx *gorm.DB) *gorm.DB { return tx.Exec("INSERT INTO notes (seq) VALUES (1)") },
				func(tx *gorm.DB) *gorm.DB { return tx.Exec("INSERT INTO nowhere VALUES (?)", tries) },
				func(tx *gorm.DB) *gorm.DB { return tx.Table("notes").Find(&found) })
			if tries == 1 {
				return errors.Join(errConflict, err)
			}
			return err
		})
		if err == nil || tries != 2 || count(t, d) != 0 || len(found) != 0 {
			t.Errorf("%v after %d tries, %d rows", err, tries, count(t, d))
		}
	})
}

// TestAPipelineAfterItsTransaction is no part of any.
func TestAPipelineAfterItsTransaction(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		write := func(tx *gorm.DB) *gorm.DB { return tx.Exec("INSERT INTO notes (seq) VALUES (7)") }
		err := d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			cancel()
			return db.Pipeline(tx.WithContext(t.Context()), write, write)
		})
		if err == nil || count(t, d) != 0 {
			t.Errorf("%v, %d rows", err, count(t, d))
		}
	})
}
