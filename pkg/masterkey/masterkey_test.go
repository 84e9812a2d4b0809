package masterkey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// things are rows that name their master key.
var things = db.Migrations{Name: "things", FS: fstest.MapFS{
	"postgres/00001_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (master_key text);\n")},
	"sqlite/00001_things.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE things (master_key text);\n")},
}}

// rig is a database in which processes with different master keys meet.
type rig struct {
	t *testing.T
	d *db.DB
}

func each(t *testing.T, test func(r rig)) {
	testkit.EachEngine(t, []db.Migrations{masterkey.Migrations, things}, func(t *testing.T, d *db.DB) {
		test(rig{t, d})
	})
}

func (r rig) ring(keys ...byte) *keyring.Ring {
	r.t.Helper()
	var masters [][]byte
	for _, k := range keys {
		masters = append(masters, slices.Repeat([]byte{k}, keyring.KeySize))
	}
	ring, err := keyring.New("test", masters[0], masters[1:]...)
	if err != nil {
		r.t.Fatal(err)
	}
	return ring
}

func (r rig) name(key byte) string { return r.ring(key).Name() }

// process has these master keys, the current one first.
func (r rig) process(keys ...byte) *masterkey.Register {
	ring := r.ring(keys...)
	return masterkey.New(r.d, ring, masterkey.Rows{
		What: "things",
		Count: func(tx *gorm.DB) (map[string]int, error) {
			var names []string
			err := tx.Table("things").Pluck("master_key", &names).Error
			counts := map[string]int{}
			for _, name := range names {
				counts[name]++
			}
			return counts, err
		},
		Reseal: func(ctx context.Context, progress func(int)) (n int, err error) {
			err = r.d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
				res := tx.Exec("UPDATE things SET master_key = ? WHERE master_key <> ?", ring.Name(), ring.Name())
				n = int(res.RowsAffected)
				return res.Error
			})
			progress(n)
			return n, err
		},
	})
}

// write adds a row under the current key of p, in a transaction that Guard lets pass.
func (r rig) write(p *masterkey.Register) error {
	return r.d.Tx(r.t.Context(), func(_ context.Context, tx *gorm.DB) error {
		if err := p.Guard(tx); err != nil {
			return err
		}
		return tx.Exec("INSERT INTO things VALUES (?)", p.Ring.Name()).Error
	})
}

func (r rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestStartRefusesRowsUnderOtherKeys(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.process(1).Start(t.Context())) // a database that nobody has written to
		r.must(r.write(r.process(1)))
		r.must(r.write(r.process(1)))
		err := r.process(2, 3).Start(t.Context())
		missing := new(masterkey.MissingError)
		if !errors.As(err, &missing) {
			t.Fatalf("it starts: %v", err)
		}
		for _, want := range []string{r.name(1) + " (things: 2)", r.name(2) + ", " + r.name(3), "LATCHKEY_MASTER_KEY"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		r.must(r.process(1).Check(t.Context())) // the refused process left nothing behind
		r.must(r.process(2, 1).Start(t.Context()))
	})
}

func TestRowsThatNoRegisterKnowsAreSeenAtStart(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO things VALUES ('restored')").Error
		}))
		if err := r.process(1).Start(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "restored (things: 1)") {
			t.Errorf("got %v", err)
		}
	})
}

// TestKeyThatProtectsNothingIsForgotten: a key that was changed before anything was written may be changed.
func TestKeyThatProtectsNothingIsForgotten(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.process(1).Start(t.Context()))
		r.must(r.process(2).Start(t.Context()))
		r.must(r.process(2).Check(t.Context()))
		if err := r.write(r.process(1)); !errors.Is(err, apierr.ErrUnavailable) { // it runs still, and must not write
			t.Errorf("got %v", err)
		}
	})
}

func TestCheckAndGuardWhileAKeyIsMissing(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.process(1).Start(t.Context()))
		r.must(r.process(2, 1).Start(t.Context())) // somebody skipped the step in which all others accept key 2
		r.must(r.write(r.process(2, 1)))
		for name, err := range map[string]error{
			"check": r.process(1).Check(t.Context()),
			"guard": r.write(r.process(1)),
		} {
			e := apierr.From(err)
			if err == nil || e.Kind != apierr.Unavailable || e.RetryAfter == 0 ||
				!strings.Contains(err.Error(), r.name(2)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.must(r.process(1, 2).Check(t.Context()))
	})
}

// TestAWriterRegistersItsKey: one that began before its key was forgotten is known again before its row is.
func TestAWriterRegistersItsKey(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.write(r.process(1, 2)))
		if err := r.process(2).Check(t.Context()); err == nil {
			t.Error("the key of the writer is not registered")
		}
	})
}

func TestRotate(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.write(r.process(1)))
		n, err := r.process(2, 1).Rotate(t.Context(), func(string, int) {})
		if err != nil || n != 1 {
			t.Fatalf("moved %d, %v", n, err)
		}
		usages, err := r.process(2).Usage(t.Context())
		if want := r.name(2) + " (things: 1)"; err != nil || fmt.Sprint(usages) != "["+want+"]" {
			t.Errorf("got %v, %v", usages, err)
		}
		if n, err = r.process(2, 1).Rotate(t.Context(), func(string, int) {}); err != nil || n != 0 {
			t.Errorf("again: moved %d, %v", n, err)
		}
	})
}

// TestRotateTellsOfALateWriter: a process that still has the old key as the current one makes more work.
func TestRotateTellsOfALateWriter(t *testing.T) {
	each(t, func(r rig) {
		r.must(r.write(r.process(1)))
		_, err := r.process(2, 1).Rotate(t.Context(), func(string, int) { r.must(r.write(r.process(1, 2))) })
		if err == nil || !strings.Contains(err.Error(), r.name(1)+" (things: 1)") {
			t.Errorf("got %v", err)
		}
	})
}

// TestStartWaitsForAWriterUnderWay: the rows of a transaction that passed Guard count, although they are not committed
// yet.
func TestStartWaitsForAWriterUnderWay(t *testing.T) {
	// SQLite has one writer
	d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "test"}, masterkey.Migrations, things)
	r := rig{t, d}
	started := make(chan error, 1)
	r.must(r.process(1).Start(t.Context()))
	r.must(d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		p := r.process(1)
		r.must(p.Guard(tx))
		go func() { started <- r.process(2).Start(context.Background()) }()
		testkit.Eventually(t, 10*time.Second, func() error {
			var waiting int
			err := d.Read(t.Context()).
				Raw("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'master_keys'::regclass").
				Scan(&waiting).Error
			if err == nil && waiting == 0 {
				err = errors.New("nobody waits")
			}
			return err
		})
		return tx.Exec("INSERT INTO things VALUES (?)", p.Ring.Name()).Error
	}))
	if err := <-started; !errors.As(err, new(*masterkey.MissingError)) {
		t.Errorf("the other process starts: %v", err)
	}
}
