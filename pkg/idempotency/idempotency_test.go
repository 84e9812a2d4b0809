package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// effects is the table that the calls under test write to.
var effects = db.Migrations{Name: "effects", FS: fstest.MapFS{
	"postgres/00001_effects.sql": {Data: []byte("-- +goose Up\nCREATE TABLE effects (n bigint);\n")},
	"sqlite/00001_effects.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE effects (n bigint);\n")},
}}

type created struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

var (
	errTaken  = apierr.New(apierr.Conflict, "TAKEN", "taken")
	errBroken = errors.New("broken")
	key       = idempotency.Key{Scope: "admin-1", Key: "k", Request: [32]byte{1}}
)

// rig is a store on one engine.
type rig struct {
	db    *db.DB
	clock *clock.Fake
	store *idempotency.Store
}

func eachEngine(t *testing.T, test func(t *testing.T, r rig)) {
	t.Helper()
	testkit.EachEngine(t, []db.Migrations{idempotency.Migrations, effects}, func(t *testing.T, d *db.DB) {
		c := clock.NewFake(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
		test(t, rig{db: d, clock: c, store: idempotency.New(d, ring(t, 1), c)})
	})
}

// ring has the master keys that are filled with these bytes, the current one first.
func ring(t *testing.T, current byte, others ...byte) *keyring.Ring {
	t.Helper()
	key := func(fill byte) []byte { return []byte(strings.Repeat(string(rune(fill)), keyring.KeySize)) }
	var more [][]byte
	for _, fill := range others {
		more = append(more, key(fill))
	}
	r, err := keyring.New("test", key(current), more...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// create is a call that has one effect, then runs then, and answers with its id.
func (r rig) create(k idempotency.Key, id string, then func() error) (created, error) {
	return idempotency.Do(context.Background(), r.store, k, func(ctx context.Context) (created, error) {
		err := r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO effects (n) VALUES (1)").Error
		})
		if err == nil && then != nil {
			err = then()
		}
		return created{ID: id, Secret: "s3cret"}, err
	})
}

func (r rig) count(t *testing.T, table string) int {
	t.Helper()
	var n int
	if err := r.db.Read(t.Context()).Raw("SELECT count(*) FROM " + table).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestARepeatedCallGetsTheFirstAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		for _, id := range []string{"first", "second"} {
			got, err := r.create(key, id, nil)
			if diff := cmp.Diff(created{ID: "first", Secret: "s3cret"}, got); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
		}
		if n := r.count(t, "effects"); n != 1 {
			t.Fatalf("%d effects, want 1", n)
		}
		var raw []byte
		if err := r.db.Read(t.Context()).Raw("SELECT answer FROM idempotency_keys").Row().Scan(&raw); err != nil ||
			len(raw) == 0 || strings.Contains(string(raw), "s3cret") {
			t.Fatalf("the answer is kept as %q (%v)", raw, err)
		}
	})
}

func TestKeysAreToldApart(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		other := key
		other.Scope = "admin-2"
		third := key
		third.Key = "k2"
		for i, k := range []idempotency.Key{key, other, third, {}, {}} {
			if _, err := r.create(k, "id", nil); err != nil {
				t.Fatal(err)
			}
			if n := r.count(t, "effects"); n != i+1 {
				t.Fatalf("%d effects after %d calls", n, i+1)
			}
		}
	})
}

// TestTheLastAnswerOfAScope: what others work on stays, and so do other scopes.
func TestTheLastAnswerOfAScope(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		last := func(scope, key string) idempotency.Key { return idempotency.Key{Scope: scope, Key: key, Last: true} }
		for _, k := range []idempotency.Key{last("other", "k"), last("own", "k1"), last("own", "k2")} {
			if _, err := r.create(k, k.Key, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err := r.reserved(last("own", "running"), "running", func() {
			for _, id := range []string{"k3", "again"} {
				if got, err := r.create(last("own", "k3"), id, nil); err != nil || got.ID != "k3" {
					t.Errorf("%v, %v", got, err)
				}
			}
			if n := r.count(t, "idempotency_keys"); n != 3 {
				t.Errorf("%d keys, want that of the other scope, the last and the one at work", n)
			}
		})
		if n := r.count(t, "idempotency_keys"); err != nil || n != 2 {
			t.Errorf("%d keys, want one for each scope; %v", n, err)
		}
	})
}

func TestAnotherRequestUnderTheKeyIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		other := key
		other.Request = [32]byte{2}
		_, err := r.reserved(key, "id", func() {
			if _, err := r.create(other, "id", nil); !errors.Is(err, idempotency.ErrReused) {
				t.Errorf("while it runs: %v", err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.create(other, "id", nil); !errors.Is(err, idempotency.ErrReused) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	for name, first := range map[string]error{
		"conflict":    errTaken.With("limits", map[string]any{"max": 1.0}).WithRetryAfter(time.Second),
		"validation":  apierr.InvalidField("name", "is missing"),
		"rate limit":  apierr.New(apierr.RateLimited, "RATE", "slow down"),
		"outage":      apierr.ErrUnavailable.WithCause(errBroken),
		"internal":    apierr.ErrInternal,
		"untyped":     errBroken,
		"caller left": context.Canceled,
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, r rig) {
				if _, err := r.create(key, "first", func() error { return first }); !errors.Is(err, first) {
					t.Fatalf("first call: %v", err)
				}
				if effects, keys := r.count(t, "effects"), r.count(t, "idempotency_keys"); effects != 0 || keys != 0 {
					t.Fatalf("a failed call leaves %d effects and %d keys", effects, keys)
				}
				if got, err := r.create(key, "second", nil); err != nil || got.ID != "second" {
					t.Fatalf("second call: %v, %v", got, err)
				}
			})
		})
	}
}

func TestAPanicGivesTheKeyBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		func() {
			defer func() { _ = recover() }()
			_, _ = r.create(key, "first", func() error { panic("at the disco") })
		}()
		got, err := r.create(key, "second", nil)
		if err != nil || got.ID != "second" || r.count(t, "effects") != 1 {
			t.Fatalf("%v, %v, %d effects", got, err, r.count(t, "effects"))
		}
	})
}

// reserved runs a call whose work stops before its first effect, lets meanwhile happen, and finishes it.
func (r rig) reserved(k idempotency.Key, id string, meanwhile func()) (created, error) {
	return idempotency.Do(context.Background(), r.store, k, func(ctx context.Context) (created, error) {
		meanwhile()
		err := r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO effects (n) VALUES (1)").Error
		})
		return created{ID: id}, err
	})
}

func TestARunningCallIsNotDisturbed(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		got, err := r.reserved(key, "first", func() {
			r.clock.Advance(10 * time.Second) // the time of a call without a deadline
			_, err := r.create(key, "second", nil)
			if failure := apierr.From(err); !errors.Is(err, idempotency.ErrInUse) || failure.RetryAfter != time.Second {
				t.Errorf("while it runs: %v", err)
			}
		})
		if err != nil || got.ID != "first" || r.count(t, "effects") != 1 {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func TestALeaseThatRanOutIsTakenOverAndFenced(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		_, late := r.reserved(key, "first", func() {
			r.clock.Advance(12 * time.Second)
			if got, err := r.create(key, "second", nil); err != nil || got.ID != "second" {
				t.Errorf("taking over: %v, %v", got, err)
			}
		})
		if !errors.Is(late, idempotency.ErrInUse) {
			t.Errorf("the call that was taken over: %v", late)
		}
		got, err := r.create(key, "third", nil)
		if err != nil || got.ID != "second" || r.count(t, "effects") != 1 {
			t.Errorf("%v, %v, %d effects", got, err, r.count(t, "effects"))
		}
	})
}

func TestACallThatWasTakenOverCannotFinishBeforeItsSuccessor(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		running, finish, successor := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		_, late := r.reserved(key, "first", func() {
			r.clock.Advance(12 * time.Second)
			go func() {
				got, err := r.reserved(key, "second", func() { close(running); <-finish })
				if got.ID != "second" {
					err = errors.Join(err, errors.New("answered "+got.ID))
				}
				successor <- err
			}()
			<-running
		})
		close(finish)
		if err := <-successor; err != nil || !errors.Is(late, idempotency.ErrInUse) {
			t.Errorf("successor: %v; the call that was taken over: %v", err, late)
		}
		if n := r.count(t, "effects"); n != 1 {
			t.Errorf("%d effects", n)
		}
	})
}

func TestTwentyCallsAtOnceHaveOneEffect(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		var (
			all      sync.WaitGroup
			answered atomic.Int32
		)
		for range 20 {
			all.Go(func() {
				switch _, err := r.create(key, "id", nil); {
				case err == nil:
					answered.Add(1)
				case !errors.Is(err, idempotency.ErrInUse):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := r.count(t, "effects"); n != 1 || answered.Load() < 1 {
			t.Fatalf("%d effects, %d answered", n, answered.Load())
		}
	})
}

func TestKeysExpireAndArePruned(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		fresh := key
		fresh.Key = "fresh"
		if _, err := r.create(key, "first", nil); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(12 * time.Hour)
		if _, err := r.create(fresh, "fresh", nil); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(12 * time.Hour)
		if got, err := r.create(fresh, "again", nil); err != nil || got.ID != "fresh" {
			t.Errorf("%v, %v", got, err)
		}
		other := key
		other.Request = [32]byte{2}
		if got, err := r.create(other, "another request", nil); err != nil || got.ID != "another request" {
			t.Errorf("an expired key is not free: %v, %v", got, err)
		}
		r.clock.Advance(13 * time.Hour)
		if err := r.store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.count(t, "idempotency_keys"); n != 1 {
			t.Errorf("%d keys left, want 1", n)
		}
	})
}

func TestAnAnswerUnderAnUnknownMasterKeyIsNoAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		if _, err := r.create(key, "first", nil); err != nil {
			t.Fatal(err)
		}
		r.store = idempotency.New(r.db, ring(t, 2), r.clock)
		if _, err := r.create(key, "second", nil); !errors.Is(err, keyring.ErrUnknownKey) ||
			r.count(t, "effects") != 1 {
			t.Fatalf("%v, %d effects", err, r.count(t, "effects"))
		}
	})
}
