package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestInUnit(t *testing.T) {
	cases := map[string]struct {
		fn     func(ctx context.Context, d *db.DB, after func()) error
		finish func(context.Context, *gorm.DB) error
		err    error
		want   []int64
		after  int
	}{
		"steps and finish commit together": {
			fn: func(ctx context.Context, d *db.DB, after func()) error {
				db.AfterCommit(ctx, after)
				return errors.Join(d.Tx(ctx, add(1, nil)), d.Tx(ctx, add(2, nil)))
			},
			finish: add(3, nil),
			want:   []int64{1, 2, 3}, after: 1,
		},
		"finish alone": {
			fn:     func(context.Context, *db.DB, func()) error { return nil },
			finish: add(3, nil),
			want:   []int64{3},
		},
		"a failing fn undoes its steps": {
			fn: func(ctx context.Context, d *db.DB, after func()) error {
				db.AfterCommit(ctx, after)
				return errors.Join(d.Tx(ctx, add(1, nil)), errRefused)
			},
			finish: add(3, nil),
			err:    errRefused,
		},
		"a failing finish undoes the steps": {
			fn: func(ctx context.Context, d *db.DB, after func()) error {
				db.AfterCommit(ctx, after)
				return d.Tx(ctx, add(1, nil))
			},
			finish: add(3, errRefused),
			err:    errRefused,
		},
		"a panic undoes the steps": {
			fn: func(ctx context.Context, d *db.DB, _ func()) error {
				panic(errors.Join(d.Tx(ctx, add(1, nil)), errEmulation))
			},
			finish: add(3, nil),
			err:    errEmulation,
		},
		"a failed step undoes itself only": {
			fn: func(ctx context.Context, d *db.DB, after func()) error {
				for i, err := range []error{errRefused, nil, errRefused, nil} {
					got := d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
						db.AfterCommit(ctx, after)
						return add(int64(i), err)(ctx, tx)
					})
					if !errors.Is(got, err) {
						return fmt.Errorf("step %d: %w", i, got)
					}
				}
				return nil
			},
			finish: add(9, nil),
			want:   []int64{1, 3, 9}, after: 2,
		},
		"a violated constraint undoes its step only": {
			fn: func(ctx context.Context, d *db.DB, _ func()) error {
				err := d.Tx(ctx, add(1, nil))
				if again := d.Tx(ctx, add(1, nil)); !db.IsDuplicate(again) {
					return fmt.Errorf("not a duplicate: %w", again)
				}
				return errors.Join(err, d.Tx(ctx, add(2, nil)))
			},
			finish: nothing,
			want:   []int64{1, 2},
		},
		"a step that panics undoes itself": {
			fn: func(ctx context.Context, d *db.DB, after func()) error {
				err := d.Tx(ctx, add(1, nil))
				panics(func() {
					_ = d.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
						db.AfterCommit(ctx, after)
						panic(add(2, nil)(ctx, tx))
					})
				})
				return err
			},
			finish: add(3, nil),
			want:   []int64{1, 3},
		},
		"a unit in a unit joins": {
			fn: func(ctx context.Context, d *db.DB, _ func()) error {
				return d.InUnit(ctx, func(ctx context.Context) error { return d.Tx(ctx, add(1, nil)) }, add(2, nil))
			},
			finish: add(3, errRefused),
			err:    errRefused,
		},
		"a step's own deadline does not end the unit": {
			fn: func(ctx context.Context, d *db.DB, _ func()) error {
				step, cancel := context.WithTimeout(ctx, time.Second)
				err := d.Tx(step, add(1, nil))
				cancel()
				return err
			},
			finish: add(3, nil),
			want:   []int64{1, 3},
		},
	}
	eachEngineCase(t, cases, func(t *testing.T, d *db.DB, name string) {
		tt, after := cases[name], 0
		var err error
		panicked := panics(func() {
			err = d.InUnit(t.Context(), func(ctx context.Context) error { return tt.fn(ctx, d, func() { after++ }) },
				tt.finish)
		})
		if p, ok := panicked.(error); ok {
			err = p
		}
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

// While a unit has written nothing, a transaction elsewhere must not wait for it: on SQLite it would if the unit had
// begun.
func TestAUnitHoldsNothingBeforeItsFirstStep(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		err := d.InUnit(t.Context(), func(ctx context.Context) error {
			if open := d.Stats().InUse; open != 0 {
				t.Errorf("%d connections in use before the first step", open)
			}
			elsewhere := d.Tx(context.WithoutCancel(t.Context()), add(1, nil))
			first := d.Tx(ctx, add(2, nil))
			if open := d.Stats().InUse; open != 1 {
				t.Errorf("%d connections in use after the first step, want 1", open)
			}
			return errors.Join(elsewhere, first)
		}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		if open := d.Stats().InUse; open != 0 {
			t.Errorf("%d connections in use after the unit", open)
		}
	})
}

// In a process of several services, a context may carry the transaction of another service's database.
func TestDatabasesDoNotJoinEachOther(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		other, committed := testkit.SQLite(t, notes), 0
		err := d.Tx(t.Context(), func(ctx context.Context, _ *gorm.DB) error {
			err := other.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
				db.AfterCommit(ctx, func() { committed++ })
				// From inside, the outer database's transaction is still its own.
				return errors.Join(add(1, nil)(ctx, tx), d.Tx(ctx, add(1, nil)))
			})
			return errors.Join(err, errRefused)
		})
		if !errors.Is(err, errRefused) || count(t, d) != 0 || count(t, other) != 1 || committed != 1 {
			t.Fatalf("error %v, %d rows, %d rows in the other, %d hooks", err, count(t, d), count(t, other), committed)
		}
	})
}
