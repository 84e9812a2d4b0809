package store_test

import (
	"context"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestDevicesThatAreComparedAreNotAwaited: the batches of sightings lock devices in another order than activations
// look at them.
func TestDevicesThatAreComparedAreNotAwaited(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := create(t, r, seats(1))
		err := r.store.Change(t.Context(), made.License.ID, nil, func(ch *licensing.Change) error {
			ch.License.Version++
			ch.License.Devices = &licensing.DeviceTerms{
				Match: licensing.MatchAll, NewDevices: &licensing.NewDevices{Limit: 5, WindowHours: 24},
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		desk, laptop := client("desk"), client("laptop")
		desk.Components = map[string]string{"cpu": "c", "disk": "d"}
		laptop.Components = map[string]string{"cpu": "c", "disk": "e"}
		if _, err := r.Activate(t.Context(), made.Key, desk); err != nil {
			t.Fatal(err)
		}
		activate := func(ctx context.Context) {
			if _, err := r.Activate(ctx, made.Key, laptop); !errors.Is(err, licensing.ErrLimit) {
				t.Errorf("activated while sightings are written: %v", err)
			}
		}
		if d.Engine() == db.SQLite { // which writes one transaction at a time
			activate(t.Context())
			return
		}
		err = d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			var ids []string
			defer activate(t.Context())
			return d.Lock(tx).Table("devices").Where("license_id = ?", made.License.ID).Pluck("id", &ids).Error
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
