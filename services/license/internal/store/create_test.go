package store_test

import (
	"context"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestAKeyThatTwoBringAtOnce: one of them gets it, and of the other nothing stays.
func TestAKeyThatTwoBringAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		bring := func(ctx context.Context, customerID string) error {
			_, err := r.Create(ctx, admin, licensing.NewLicense{CustomerID: customerID, Key: new("OLIVE-TREE-1")})
			return err
		}
		done := make(chan error, 1)
		if err := d.Tx(t.Context(), func(ctx context.Context, _ *gorm.DB) error {
			err := bring(ctx, "first")
			go func() { done <- bring(t.Context(), "second") }()
			waits(t, d, done)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, licensing.ErrKeyExists) {
			t.Errorf("got %v, want %v", err, licensing.ErrKeyExists)
		}
		if _, err := r.store.Customer(t.Context(), "second"); !errors.Is(err, customer.ErrNotFound) {
			t.Errorf("the customer of the other: %v, want %v", err, customer.ErrNotFound)
		}
	})
}
