package idempotency_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
)

// overLink is a store on PostgreSQL whose link the test can break.
func overLink(t *testing.T) (rig, *link.Link) {
	t.Helper()
	address, err := url.Parse(testkit.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	link := testkit.NewLink(t, address.Host)
	address.Host = link.Addr
	d := testkit.Open(t, db.Config{URL: address.String(), Schema: "test"}, idempotency.Migrations, effects)
	c := clock.NewFake(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	return rig{db: d, clock: c, store: idempotency.New(d, ring(t, 1), c)}, link
}

// within is a call with one effect that may take so long.
func (r rig) within(ctx context.Context, d time.Duration, id string) (created, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return idempotency.Do(ctx, r.store, key, func(ctx context.Context) (created, error) {
		err := r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("INSERT INTO effects (n) VALUES (1)").Error
		})
		return created{ID: id}, err
	})
}

// TestALostReplyDoesNotBlockTheKey loses the database's answer at each step of a call. The clock stands still, so that
// no lease runs out: once the database is there again the key is free, or has its answer, and the change has happened
// once.
func TestALostReplyDoesNotBlockTheKey(t *testing.T) {
	for name, at := range map[string]struct {
		text string
		nth  int
	}{
		"begin of the reservation":  {"begin", 1},
		"reservation":               {"INSERT INTO idempotency_keys", 1},
		"commit of the reservation": {"commit", 1},
		"begin of the change":       {"begin", 2},
		"change":                    {"INSERT INTO effects", 1},
		"answer":                    {"UPDATE idempotency_keys", 1},
		"commit of the change":      {"commit", 2},
	} {
		t.Run(name, func(t *testing.T) {
			r, link := overLink(t)
			link.MuteAfter(at.text, at.nth)
			if _, err := r.within(t.Context(), time.Second, "first"); !errors.Is(err, apierr.ErrUnavailable) {
				t.Fatalf("without the answer to %q: %v", at.text, err)
			}
			link.Strand()
			link.Heal()
			testkit.Eventually(t, 20*time.Second, func() error {
				_, err := r.within(t.Context(), 5*time.Second, "second")
				return err
			})
			if n := r.count(t, "effects"); n != 1 {
				t.Errorf("%d effects, want 1", n)
			}
		})
	}
}

// TestAKeyWhoseHolderDiedIsFreeWithinSeconds: after kill -9 nobody gives the key back.
func TestAKeyWhoseHolderDiedIsFreeWithinSeconds(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := idempotency.Do(ctx, r.store, key, func(ctx context.Context) (created, error) {
			if _, err := r.create(key, "second", nil); !errors.Is(err, idempotency.ErrInUse) {
				t.Errorf("while it may still run: %v", err)
			}
			r.clock.Advance(4 * time.Second)
			got, err := r.create(key, "third", nil)
			if err != nil || got.ID != "third" {
				t.Errorf("after its time: %v, %v", got, err)
			}
			return created{}, err
		})
		if !errors.Is(err, idempotency.ErrInUse) {
			t.Errorf("the first call finished all the same: %v", err)
		}
	})
}

// TestAClockSetBackDoesNotBlockTheKey: a lease that ends in hours is none.
func TestAClockSetBackDoesNotBlockTheKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		_, _ = r.reserved(key, "first", func() {
			r.clock.Advance(-3 * time.Hour)
			if got, err := r.create(key, "second", nil); err != nil || got.ID != "second" {
				t.Errorf("got %v, %v", got, err)
			}
		})
	})
}
