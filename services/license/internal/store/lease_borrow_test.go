package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// TestBorrowersAreNoMoreThanSlots: twenty devices borrow at once and give back what they got, and of each that got
// something one lease is remembered until its end.
func TestBorrowersAreNoMoreThanSlots(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		f := licensing.DefaultFloatingTerms(3)
		f.Activation, f.BorrowMaxHours = licensing.LeaseActivationNone, 8760
		made := create(t, r, floating(f))
		leases := r.leases(t, d, r.clock)
		borrow := func(device string) (lease.Grant, error) {
			until := licensing.End{At: r.clock.Now().Add(1000 * time.Hour)}
			wanted := lease.Request{Client: client(device), BorrowUntil: until}
			return leases.CheckOut(t.Context(), made.Key, wanted)
		}
		var all sync.WaitGroup
		var lock sync.Mutex
		borrowers := map[string]bool{}
		for i := range 20 {
			all.Go(func() {
				device := fmt.Sprintf("pc-%02d", i)
				for range 3 {
					g, err := borrow(device)
					if err != nil {
						continue
					}
					lock.Lock()
					borrowers[device] = true
					lock.Unlock()
					proof := lease.Proof{LicenseID: made.License.ID, LeaseID: g.Lease.ID}
					if _, _, err := leases.Release(t.Context(), proof); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := len(borrowers); n < 1 || n > 3 {
			t.Errorf("%d devices borrowed from 3 slots", n)
		}
		remembered := func(want int) {
			t.Helper()
			if _, err := leases.Store.(*store.Store).PruneLeases(t.Context()); err != nil {
				t.Fatal(err)
			}
			var n int64
			if err := d.Read(t.Context()).Table("leases").Count(&n).Error; err != nil || n != int64(want) {
				t.Errorf("%d leases are remembered, want %d (%v)", n, want, err)
			}
		}
		r.clock.Advance(8 * 24 * time.Hour)
		remembered(len(borrowers))
		r.clock.Advance(1000 * time.Hour)
		remembered(0)
		if _, err := borrow("another"); err != nil {
			t.Error(err)
		}
	})
}
