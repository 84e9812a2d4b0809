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
		err := d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			cancel()
			return db.Pipeline(tx.WithContext(t.Context()), write(7), write(8))
		})
		if err == nil || count(t, d) != 0 {
			t.Errorf("%v, %d rows", err, count(t, d))
		}
	})
}

func write(seq int64) db.Query {
	return func(tx *gorm.DB) *gorm.DB { return tx.Exec("INSERT INTO notes (seq) VALUES (?)", seq) }
}

func TestTxEnding(t *testing.T) {
	ending := func(err error, last ...db.Query) func(context.Context, *gorm.DB) ([]db.Query, error) {
		return func(_ context.Context, tx *gorm.DB) ([]db.Query, error) {
			return last, errors.Join(tx.Create(&note{Seq: 1}).Error, err)
		}
	}
	cases := map[string]struct {
		run  func(ctx context.Context, d *db.DB) error
		fail bool
		want []int64
	}{
		"commits what fn did and returned": {
			run:  func(ctx context.Context, d *db.DB) error { return d.TxEnding(ctx, ending(nil, write(2), write(3))) },
			want: []int64{1, 2, 3},
		},
		"commits what fn returned alone": {
			run: func(ctx context.Context, d *db.DB) error {
				return d.TxEnding(ctx, func(context.Context, *gorm.DB) ([]db.Query, error) {
					return []db.Query{write(2)}, nil
				})
			},
			want: []int64{2},
		},
		"has nothing to end with": {
			run:  func(ctx context.Context, d *db.DB) error { return d.TxEnding(ctx, ending(nil)) },
			want: []int64{1},
		},
		"leaves out what a failing fn returned": {
			run:  func(ctx context.Context, d *db.DB) error { return d.TxEnding(ctx, ending(errRefused, write(2))) },
			fail: true,
		},
		"undoes everything when the last query fails": {
			run:  func(ctx context.Context, d *db.DB) error { return d.TxEnding(ctx, ending(nil, write(2), write(1))) },
			fail: true,
		},
		"cannot commit after a statement whose failure was dropped": {
			run: func(ctx context.Context, d *db.DB) error {
				return d.TxEnding(ctx, func(_ context.Context, tx *gorm.DB) ([]db.Query, error) {
					_ = db.Pipeline(tx, write(1), write(1))
					return []db.Query{write(1)}, nil
				})
			},
			fail: true,
		},
		"joins a transaction, which reads what was written": {
			run: func(ctx context.Context, d *db.DB) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					err := d.TxEnding(ctx, ending(nil, write(2), write(3)))
					return errors.Join(err, tx.Where("seq = 3").Take(&note{}).Error, tx.Create(&note{Seq: 4}).Error)
				})
			},
			want: []int64{1, 2, 3, 4},
		},
		"is a step of a unit, which goes on without it": {
			run: func(ctx context.Context, d *db.DB) error {
				return d.InUnit(ctx, func(ctx context.Context) error {
					if err := d.Tx(ctx, add(7, nil)); err != nil {
						return err
					}
					if d.TxEnding(ctx, ending(nil, write(2), write(1))) == nil {
						return errEmulation
					}
					return nil
				}, nothing)
			},
			want: []int64{7},
		},
	}
	eachEngineCase(t, cases, func(t *testing.T, d *db.DB, name string) {
		tt := cases[name]
		if err := tt.run(t.Context(), d); (err != nil) != tt.fail {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(tt.want, seqs(t, d)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTxEndingIsRetried as a whole.
func TestTxEndingIsRetried(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		tries, after := 0, 0
		err := d.TxEnding(t.Context(), func(ctx context.Context, tx *gorm.DB) ([]db.Query, error) {
			tries++
			db.AfterCommit(ctx, func() { after++ })
			if tries == 1 {
				return nil, errors.Join(tx.Create(&note{Seq: 1}).Error, errConflict)
			}
			return []db.Query{write(1), write(2)}, nil
		})
		if err != nil || tries != 2 || after != 1 || count(t, d) != 2 {
			t.Errorf("%v after %d tries, %d hooks, %d rows", err, tries, after, count(t, d))
		}
	})
}

// TestDroppedFailures of statements do not let a transaction of PostgreSQL commit, and its caller learns that.
func TestDroppedFailures(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			_ = tx.Exec("INSERT INTO notes (seq) VALUES (1), (1)").Error
			return nil
		})
		if (err != nil) != (d.Engine() == db.Postgres) || count(t, d) != 0 {
			t.Errorf("%v, %d rows", err, count(t, d))
		}
	})
}
