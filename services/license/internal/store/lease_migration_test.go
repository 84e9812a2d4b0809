package store_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// TestWhatWasBorrowedBeforeIsRevoked: a migration adds to the revocation list what was borrowed of earlier versions.
func TestWhatWasBorrowedBeforeIsRevoked(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		f := licensing.DefaultFloatingTerms(3)
		f.BorrowMaxHours = 8760
		made, other := create(t, r, floating(f)), create(t, r, floating(f))
		leases := r.leases(t, d, r.clock)
		for _, l := range []licensing.Created{made, other} {
			for _, device := range []string{"kept", "left"} {
				if _, err := r.Activate(t.Context(), l.Key, client(device)); err != nil {
					t.Fatal(err)
				}
			}
		}
		until := licensing.End{At: r.clock.Now().Add(1000 * time.Hour)}
		for _, device := range []string{"kept", "left"} {
			wanted := lease.Request{Client: client(device), BorrowUntil: until}
			if _, err := leases.CheckOut(t.Context(), made.Key, wanted); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range []licensing.Created{made, other} {
			if _, err := r.DeactivateOwn(t.Context(), l.Key, client("left")); err != nil {
				t.Fatal(err)
			}
		}
		exec := func(statement string) {
			t.Helper()
			write := func(_ context.Context, tx *gorm.DB) error { return tx.Exec(statement).Error }
			if err := d.Tx(t.Context(), write); err != nil {
				t.Fatal(err)
			}
		}
		exec("UPDATE licenses SET offline_horizon = NULL")
		exec("UPDATE devices SET offline_horizon = NULL")
		exec("UPDATE devices SET is_active = false WHERE hardware_id = 'kept'") // its lease needs no seat any more
		if _, _, list, err := r.store.Revocations(t.Context(), r.clock.Now()); err != nil || len(list) != 0 {
			t.Fatalf("%v %v", list, err)
		}
		file := map[db.Engine]string{db.SQLite: "sqlite", db.Postgres: "postgres"}[d.Engine()]
		migration, err := fs.ReadFile(store.Migrations.FS, file+"/00024_borrowed_offline.sql")
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(string(migration), ";") {
			if strings.Contains(statement, "UPDATE") {
				exec(statement)
			}
		}
		_, _, list, err := r.store.Revocations(t.Context(), r.clock.Now())
		if err != nil || len(list) != 1 || list[0].LicenseID != made.License.ID || list[0].HardwareID != "left" {
			t.Errorf("after the migration %v is on the list (%v)", list, err)
		}
		reason := licensing.NewSuspension{Reason: "unpaid"}
		for _, l := range []licensing.Created{made, other} {
			if _, err := r.Suspend(t.Context(), admin, l.License.ID, reason); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, list, err = r.store.Revocations(t.Context(), r.clock.Now()); err != nil || len(list) != 2 {
			t.Errorf("after both were suspended %v is on the list (%v)", list, err)
		}
	})
}
