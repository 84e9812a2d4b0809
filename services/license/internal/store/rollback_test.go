package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestNothingOfARolledBackTransactionIsKept in memory, whoever looked it up within.
func TestNothingOfARolledBackTransactionIsKept(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(1))
		rolledBack := errors.New("rolled back")
		err := r.store.InTransaction(t.Context(), func(ctx context.Context) error {
			err := r.store.Change(ctx, made.License.ID, nil, func(ch *licensing.Change) error {
				ch.License.Version, ch.License.MaxDevices = ch.License.Version+1, 9
				return nil
			})
			if l, _, failed := r.lookup.License(ctx, made.License.ID); failed != nil || l.MaxDevices != 9 {
				t.Errorf("within: %+v (%v)", l, failed)
			}
			return errors.Join(err, rolledBack)
		})
		if !errors.Is(err, rolledBack) {
			t.Fatal(err)
		}
		if l, _, err := r.lookup.License(t.Context(), made.License.ID); err != nil || l.MaxDevices != 1 {
			t.Errorf("afterwards: %+v (%v)", l, err)
		}
	})
}
