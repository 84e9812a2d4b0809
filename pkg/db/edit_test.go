package db_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// setBit sets a bit in the stars of all notes; before runs each time that a note is looked at.
func setBit(bit int64, before func()) *db.Edit[note] {
	return &db.Edit[note]{
		Rows:  "SELECT seq, stars FROM notes WHERE stars >= ?",
		Args:  []any{0},
		Page:  2,
		Key:   "seq",
		KeyOf: func(n *note) any { return n.Seq },
		Change: func(n *note) (bool, error) {
			before()
			differs := n.Stars&bit == 0
			n.Stars |= bit
			return differs, nil
		},
		Store: func(tx *gorm.DB, n *note) error {
			return tx.Exec("UPDATE notes SET stars = ? WHERE seq = ?", n.Stars, n.Seq).Error
		},
	}
}

func starsOf(t *testing.T, d *db.DB) (stars []int64) {
	t.Helper()
	if err := d.Read(t.Context()).Raw("SELECT stars FROM notes ORDER BY seq").Scan(&stars).Error; err != nil {
		t.Fatal(err)
	}
	return stars
}

// TestTwoEditsAtOnce: both have read a note before either locks it, and the second to have the lock sees what the first
// wrote.
func TestTwoEditsAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		insert(t, d, note{}, note{}, note{}, note{}, note{})
		// The first page of each is two notes: its third look is the first of them under the lock.
		var read, all sync.WaitGroup
		var locked atomic.Int32
		read.Add(2)
		for _, bit := range []int64{1, 2} {
			looks := 0
			edit := setBit(bit, func() {
				switch looks++; looks {
				case 2:
					read.Done()
					read.Wait()
				case 3:
					if locked.Add(1) == 1 && d.Engine() == db.Postgres {
						awaitAnother(t, d, &locked)
					}
				}
			})
			all.Go(func() {
				if err := edit.Run(t.Context(), d); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, stars := range starsOf(t, d) {
			if stars != 3 {
				t.Errorf("note %d has the bits %b, want both", i, stars)
			}
		}
	})
}

// awaitAnother returns when another edit waits for a lock, or has got as far without one.
func awaitAnother(t *testing.T, d *db.DB, locked *atomic.Int32) {
	testkit.Eventually(t, time.Minute, func() error {
		var waiting int32
		err := d.Read(t.Context()).Raw(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting).Error
		if err == nil && waiting == 0 && locked.Load() == 1 {
			err = errors.New("the other edit is not here yet")
		}
		return err
	})
}

// TestAnEditOfNothingLocksNothing: it goes on beside one that holds all rows.
func TestAnEditOfNothingLocksNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		insert(t, d, note{Stars: 1}, note{Stars: 1}, note{Stars: 1})
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			if err := tx.Exec("UPDATE notes SET hidden = false").Error; err != nil {
				return err
			}
			return setBit(1, func() {}).Run(t.Context(), d)
		})
		if err != nil {
			t.Error(err)
		}
	})
}
