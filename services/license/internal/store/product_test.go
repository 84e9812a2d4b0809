package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// waits ends when a transaction waits for the lock of another, or done tells that it did not need to. SQLite begins no
// second one, which nobody can see.
func waits(t *testing.T, d *db.DB, done <-chan error) {
	t.Helper()
	if d.Engine() == db.SQLite {
		return
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		var waiting int
		err := d.Read(t.Context()).Raw(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting).Error
		if err == nil && waiting == 0 && len(done) == 0 {
			err = errors.New("nobody waits")
		}
		return err
	})
}

// bundling has a change make a product a bundle once pause returns.
func bundling(pause func(), codes ...string) func(*catalog.Product) ([]proto.Message, error) {
	return func(p *catalog.Product) ([]proto.Message, error) {
		pause()
		p.Bundle = codes
		p.Version++
		return []proto.Message{p.Created()}, nil
	}
}

// TestABundleHoldsItsProducts: what a change of a bundle relies on stays until it is committed.
func TestABundleHoldsItsProducts(t *testing.T) {
	for name, second := range map[string]func(ctx context.Context, r *replica) error{
		"one of them becomes a bundle": func(ctx context.Context, r *replica) error {
			_, err := r.store.ChangeProduct(ctx, "b", []string{"c"}, bundling(func() {}, "c"))
			return err
		},
		"one of them takes the bundle": func(ctx context.Context, r *replica) error {
			_, err := r.store.ChangeProduct(ctx, "b", []string{"a"}, bundling(func() {}, "a"))
			return err
		},
		"a new bundle takes the bundle": func(ctx context.Context, r *replica) error {
			return r.store.CreateProduct(ctx, catalog.Product{
				ID: "00000000-0000-7000-8000-000000000001", Code: "new", Name: "new", Bundle: []string{"a"},
			}, nil)
		},
		"one of them is deleted": func(ctx context.Context, r *replica) error {
			return r.store.DeleteProduct(ctx, "b", func(*catalog.Product) ([]proto.Message, error) { return nil, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *replica, d *db.DB) {
				for i, code := range []string{"a", "b", "c"} {
					p := catalog.Named(code, noon.Add(time.Duration(i)*time.Second))
					if err := r.store.CreateProduct(t.Context(), p, nil); err != nil {
						t.Fatal(err)
					}
				}
				done := make(chan error, 1)
				begin := func() {
					go func() { done <- second(t.Context(), r) }()
					waits(t, d, done)
				}
				if _, err := r.store.ChangeProduct(t.Context(), "a", []string{"b"}, bundling(begin, "b")); err != nil {
					t.Fatal(err)
				}
				var refused *apierr.Error
				if err := <-done; !errors.As(err, &refused) || refused.Kind == apierr.Unavailable {
					t.Errorf("got %v, want a refusal", err)
				}
			})
		})
	}
}

// TestADamagedBundleCanBeChanged: what a change leaves as it is, is not looked at.
func TestADamagedBundleCanBeChanged(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		p := catalog.Named("suite", noon)
		if err := r.store.CreateProduct(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
		if err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(`UPDATE products SET bundle = '["gone"]' WHERE id = ?`, p.ID).Error
		}); err != nil {
			t.Fatal(err)
		}
		rename := func(p *catalog.Product) ([]proto.Message, error) {
			p.Name = "Suite"
			return []proto.Message{p.Created()}, nil
		}
		renamed, err := r.store.ChangeProduct(t.Context(), "suite", nil, rename)
		if err != nil || renamed.Name != "Suite" {
			t.Fatal(renamed, err)
		}
	})
}
