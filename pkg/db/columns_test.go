package db_test

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestColumns(t *testing.T) {
	want := "n.seq, n.id, n.author, n.stars, n.hidden, n.until"
	if got := db.Columns("n", note{}, "body", "at"); got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
}

// TestStatementsOutliveAColumnThatIsAdded by a program of the next version, beside this one.
func TestStatementsOutliveAColumnThatIsAdded(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		cfg.MaxConns = 1 // the connection that knows the statements
		d := testkit.Open(t, cfg, notes)
		read := func() {
			t.Helper()
			var found []note
			if err := d.Read(t.Context()).Where("stars > ?", 1).Find(&found).Error; err != nil {
				t.Error(err)
			}
			err := d.Read(t.Context()).Table("notes AS n").Select(db.Columns("n", note{})).Find(&found).Error
			if err != nil {
				t.Error(err)
			}
		}
		read()
		err := testkit.Open(t, cfg).Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("ALTER TABLE notes ADD COLUMN color text NOT NULL DEFAULT ''").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		read()
	})
}
