package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

var (
	errRefused   = errors.New("refused")
	errConflict  = &pgconn.PgError{Code: "40001"}
	errEmulation = errors.New("as a panic")
)

// add returns a step that inserts a note and then returns err.
func add(seq int64, err error) func(context.Context, *gorm.DB) error {
	return func(_ context.Context, tx *gorm.DB) error {
		return errors.Join(tx.Create(&note{Seq: seq}).Error, err)
	}
}

func nothing(context.Context, *gorm.DB) error { return nil }

func seqs(t *testing.T, d *db.DB) []int64 {
	t.Helper()
	var got []int64
	if err := d.Read(t.Context()).Raw("SELECT seq FROM notes ORDER BY seq").Scan(&got).Error; err != nil {
		t.Fatal(err)
	}
	return got
}

// panics calls fn and returns what it panicked with.
func panics(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func TestTx(t *testing.T) {
	cases := map[string]struct {
		run  func(ctx context.Context, d *db.DB, after func()) error
		err  error
		want []int64
		// after is how many of the hooks ran.
		after int
	}{
		"commits": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					db.AfterCommit(ctx, after)
					return add(1, nil)(ctx, tx)
				})
			},
			want: []int64{1}, after: 1,
		},
		"rolls back": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					db.AfterCommit(ctx, after)
					return add(1, errRefused)(ctx, tx)
				})
			},
			err: errRefused,
		},
		"rolls back on panic": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				err, _ := panics(func() {
					_ = d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
						db.AfterCommit(ctx, after)
						panic(add(1, errEmulation)(ctx, tx))
					})
				}).(error)
				return err
			},
			err: errEmulation,
		},
		"joins": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					err := d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
						db.AfterCommit(ctx, after)
						return add(1, nil)(ctx, tx)
					})
					db.AfterCommit(ctx, after)
					return errors.Join(err, add(2, nil)(ctx, tx))
				})
			},
			want: []int64{1, 2}, after: 2,
		},
		"joined work is rolled back with the outer": {
			run: func(ctx context.Context, d *db.DB, _ func()) error {
				return d.Tx(ctx, func(ctx context.Context, _ *gorm.DB) error {
					return errors.Join(d.Tx(ctx, add(1, nil)), errRefused)
				})
			},
			err: errRefused,
		},
		"a joined failure that is dropped fails the outer": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					db.AfterCommit(ctx, after)
					_ = d.Tx(ctx, add(1, errRefused))
					return nil
				})
			},
			err: errRefused,
		},
		"reads see what the transaction wrote": {
			run: func(ctx context.Context, d *db.DB, _ func()) error {
				return d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					err := add(1, nil)(ctx, tx)
					return errors.Join(err, d.Read(ctx).Where("seq = ?", 1).Take(&note{}).Error)
				})
			},
			want: []int64{1},
		},
		"a context outlives its transaction": {
			run: func(ctx context.Context, d *db.DB, after func()) error {
				var kept context.Context
				err := d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
					kept = context.WithoutCancel(ctx)
					return add(1, nil)(ctx, tx)
				})
				db.AfterCommit(kept, after)
				return errors.Join(err, d.Read(kept).Take(&note{}).Error, d.Tx(kept, add(2, nil)))
			},
			want: []int64{1, 2}, after: 1,
		},
	}
	eachEngineCase(t, cases, func(t *testing.T, d *db.DB, name string) {
		tt, after := cases[name], 0
		err := tt.run(t.Context(), d, func() { after++ })
		if !errors.Is(err, tt.err) {
			t.Errorf("error %v, want %v", err, tt.err)
		}
		if diff := cmp.Diff(tt.want, seqs(t, d)); diff != "" {
			t.Error(diff)
		}
		if after != tt.after {
			t.Errorf("%d hooks ran, want %d", after, tt.after)
		}
	})
}

// eachEngineCase runs every case on every engine, each time on an empty table.
func eachEngineCase[T any](t *testing.T, cases map[string]T, test func(t *testing.T, d *db.DB, name string)) {
	t.Helper()
	eachEngine(t, func(t *testing.T, d *db.DB) {
		for name := range cases {
			t.Run(name, func(t *testing.T) {
				err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					return tx.Exec("DELETE FROM notes").Error
				})
				if err != nil {
					t.Fatal(err)
				}
				test(t, d, name)
			})
		}
	})
}

func TestTxRetries(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		for failures, want := range map[int]int{0: 1, 1: 2, 3: 4, 4: 4} {
			tries, after := 0, 0
			err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
				db.AfterCommit(ctx, func() { after++ })
				if tries++; tries <= failures {
					return fmt.Errorf("somewhere: %w", add(int64(10+failures), errConflict)(ctx, tx))
				}
				return add(int64(10+failures), nil)(ctx, tx)
			})
			if gaveUp := errors.Is(err, apierr.ErrUnavailable); tries != want || gaveUp != (failures == 4) {
				t.Errorf("%d failures: %d tries, want %d; error %v", failures, tries, want, err)
			}
			if err == nil && after != 1 {
				t.Errorf("%d failures: %d hooks, want 1", failures, after)
			}
		}
		if n := count(t, d); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
	})
}

func TestOnlyTheBeginningStepOfAUnitIsRetried(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		tries := map[string]int{}
		flaky := func(name string) func(context.Context, *gorm.DB) error {
			return func(context.Context, *gorm.DB) error {
				if tries[name]++; tries[name] == 1 {
					return errConflict
				}
				return nil
			}
		}
		err := d.InUnit(t.Context(), func(ctx context.Context) error {
			return errors.Join(d.Tx(ctx, flaky("first")), d.Tx(ctx, flaky("second")))
		}, nothing)
		if diff := cmp.Diff(map[string]int{"first": 2, "second": 1}, tries); diff != "" ||
			!errors.Is(err, apierr.ErrUnavailable) {
			t.Fatal(err, diff)
		}
	})
}

// Two transactions that lock two rows in opposite order: PostgreSQL gives one up, which is run again.
func TestDeadlocksResolve(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		insert(t, d, note{Seq: 1}, note{Seq: 2})
		lock := func(tx *gorm.DB, seq int64) error {
			return tx.Exec("UPDATE notes SET stars = stars + 1 WHERE seq = ?", seq).Error
		}
		var both, done sync.WaitGroup
		both.Add(2)
		meet := func() { both.Done(); both.Wait() }
		if d.Engine() == db.SQLite {
			meet = func() {} // they cannot meet: there is one writer
		}
		errs := make([]error, 2)
		for i, order := range [][2]int64{{1, 2}, {2, 1}} {
			first := true
			done.Go(func() {
				errs[i] = d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
					err := lock(tx, order[0])
					if first {
						first = false
						meet()
					}
					return errors.Join(err, lock(tx, order[1]))
				})
			})
		}
		done.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		var stars int
		if err := d.Read(t.Context()).Raw("SELECT sum(stars) FROM notes").Scan(&stars).Error; err != nil || stars != 4 {
			t.Fatalf("%d stars, want 4 (%v)", stars, err)
		}
	})
}

// A step that is called from within a step by the context of the unit, a mistake, must not hang forever.
func TestAStepWaitsNoLongerThanItsContext(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		err := d.InUnit(t.Context(), func(unit context.Context) error {
			return d.Tx(unit, func(context.Context, *gorm.DB) error {
				ctx, cancel := context.WithTimeout(unit, 10*time.Millisecond)
				defer cancel()
				return d.Tx(ctx, nothing)
			})
		}, nothing)
		if !errors.Is(err, apierr.ErrUnavailable) {
			t.Fatal(err)
		}
	})
}

func TestADeadlineIsAnOutage(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
			<-ctx.Done()
			return tx.Create(&note{Seq: 1}).Error
		})
		if !errors.Is(err, apierr.ErrUnavailable) || count(t, d) != 0 {
			t.Fatalf("%v, %d rows", err, count(t, d))
		}
		slow := `SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
			WHERE i < 100000000) SELECT i FROM n) AS all_n`
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var n int
		if err := db.Error(d.Read(ctx).Raw(slow).Scan(&n).Error); !errors.Is(err, apierr.ErrUnavailable) {
			t.Fatalf("slow query: %v", err)
		}
	})
}

func TestWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		cfg.MaxConns = 1
		d := testkit.Open(t, cfg, notes)
		err := d.Tx(t.Context(), func(context.Context, *gorm.DB) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			return d.Tx(ctx, nothing)
		})
		if !errors.Is(err, apierr.ErrUnavailable) {
			t.Fatal(err)
		}
	})
}

// A transaction of SQLite that has only read so far must already keep others from writing: it could not write after
// them.
func TestTransactionsOfSQLiteLockAtTheirBegin(t *testing.T) {
	cfg := db.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db")}
	d, other := testkit.Open(t, cfg, notes), testkit.Open(t, cfg)
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Find(&[]note{}).Error; err != nil {
			return err
		}
		impatient, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := other.Tx(impatient, add(1, nil)); !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("another wrote meanwhile: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestACallerWhoLeftIsNoOutage(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			cancel()
			return tx.Create(&note{Seq: 1}).Error
		})
		if err == nil || errors.Is(err, apierr.ErrUnavailable) || count(t, d) != 0 {
			t.Fatalf("%v, %d rows", err, count(t, d))
		}
	})
}

func TestTxHasADeadline(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		err := d.Tx(context.Background(), func(ctx context.Context, _ *gorm.DB) error {
			if _, ok := ctx.Deadline(); !ok {
				return errors.New("none")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestAColumnOfAnotherType is no error of a statement that was prepared before, which a migration may bring about under
// a running program: it is prepared anew.
func TestAColumnOfAnotherType(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		read := func(_ context.Context, tx *gorm.DB) error {
			var rows []note
			return tx.Raw("SELECT seq, stars FROM notes WHERE seq > ?", 0).Find(&rows).Error
		}
		inUse := d.Stats().MaxOpenConnections
		for range 2 * inUse { // on each connection that there is
			if err := d.Tx(t.Context(), read); err != nil {
				t.Fatal(err)
			}
		}
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			if d.Engine() == db.SQLite {
				return tx.Exec("ALTER TABLE notes ADD COLUMN likes integer").Error
			}
			return tx.Exec("ALTER TABLE notes ALTER COLUMN stars TYPE integer").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * inUse {
			if err := d.Tx(t.Context(), read); err != nil {
				t.Fatal(err)
			}
		}
	})
}
