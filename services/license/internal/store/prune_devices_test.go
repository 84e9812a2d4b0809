package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// TestDevicesThatLeftAreForgotten: of many that took a seat in turn the newest thousand stay, and those that may
// still run offline; of few, those of the last year. A device with a seat stays.
func TestDevicesThatLeftAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		many, few := create(t, r, seats(2)).License.ID, create(t, r, seats(2))
		left := func(licenseID, hardwareID string, at time.Time, offline any) {
			t.Helper()
			const insert = `INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version,
				is_active, activated_at,
				activated_version, deactivated_at, offline_until) VALUES (?, ?, ?, '', '', '', '', false, ?, 2, ?, ?)`
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return tx.Exec(insert, uuid.NewString(), licenseID, hardwareID, at, at, offline).Error
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1510 {
			left(many, uuid.NewString(), noon.Add(-time.Duration(i)*time.Minute), nil)
		}
		left(many, "runs offline", noon.AddDate(0, 0, -90), noon.Add(time.Hour))
		left(few.License.ID, "last year", noon.AddDate(0, 0, -366), nil)
		left(few.License.ID, "this year", noon.AddDate(0, 0, -364), nil)
		if _, err := r.Activate(t.Context(), few.Key, client("here")); err != nil {
			t.Fatal(err)
		}
		n, err := r.store.PruneDevices(t.Context())
		if err != nil || n != 511 {
			t.Errorf("%d devices were forgotten, want 510 of many and 1 of few (%v)", n, err)
		}
		for licenseID, want := range map[string]int{many: 1001, few.License.ID: 2} {
			if left, err := devicesOf(t, r.store, licenseID); err != nil || len(left) != want {
				t.Errorf("%d devices are left, want %d (%v)", len(left), want, err)
			}
		}
	})
}
