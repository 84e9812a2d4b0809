package store_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// travelers are the sessions of twenty devices that borrow leases at once, or just take them, and give them back.
type travelers struct {
	t      *testing.T
	leases *lease.Leases
	made   licensing.Created
	d      *db.DB
	until  licensing.End

	lock     sync.Mutex
	borrowed map[lease.Claim]bool // what was borrowed, also if it was given back
}

// slotsOfCodes are how many slots the entitlements have.
var slotsOfCodes = map[string]int{"cad": 1, "cam": 2}

func (v *travelers) run() {
	var all sync.WaitGroup
	for i := range 40 {
		holder := lease.Holder{HardwareID: fmt.Sprintf("pc-%02d", i/2), SessionID: fmt.Sprint(i % 2)}
		all.Go(func() { v.travel(holder, rand.New(rand.NewPCG(7, uint64(i)))) })
	}
	all.Wait()
}

func (v *travelers) travel(h lease.Holder, random *rand.Rand) {
	codes := append(slices.Sorted(maps.Keys(slotsOfCodes)), "")
	for range 6 {
		wanted := lease.Request{
			Client:      licensing.Client{HardwareID: h.HardwareID, SessionID: h.SessionID},
			Entitlement: codes[random.IntN(len(codes))],
		}
		if random.IntN(3) > 0 {
			wanted.BorrowUntil = v.until
		}
		g, ok := v.take(wanted)
		if !ok {
			continue
		}
		wanted.Entitlement = codes[random.IntN(len(codes))] // of the same lease
		if again, ok := v.take(wanted); ok {
			g = again
		}
		if !g.Lease.BorrowedUntil.IsZero() {
			v.lock.Lock()
			v.borrowed[lease.Claim{Holder: h, Entitlement: g.Lease.Entitlement}] = true
			v.lock.Unlock()
		}
		_, _, err := v.leases.Release(v.t.Context(), lease.Proof{LicenseID: v.made.License.ID, LeaseID: g.Lease.ID})
		if err != nil && !errors.Is(err, lease.ErrEvicted) {
			v.t.Error(err)
		}
	}
}

func (v *travelers) take(wanted lease.Request) (lease.Grant, bool) {
	g, err := v.leases.CheckOut(v.t.Context(), v.made.Key, wanted)
	var refused *apierr.Error
	if err != nil {
		if !errors.As(err, &refused) || refused.Kind != apierr.Forbidden && refused.Kind != apierr.Conflict {
			v.t.Error(err)
		}
		return g, false
	}
	v.count(g.Lease.Entitlement)
	return g, true
}

// count counts who has a slot of an entitlement. Nothing ends by itself meanwhile.
func (v *travelers) count(code string) {
	var n int64
	err := v.d.Read(v.t.Context()).Raw(`SELECT count(*) FROM (SELECT DISTINCT hardware_id, session_id FROM leases
		WHERE entitlement = ? AND (ending = '' OR borrowed_until IS NOT NULL)) h`, code).Scan(&n).Error
	if most, limited := slotsOfCodes[code]; err != nil || limited && n > int64(most) {
		v.t.Errorf("%d have the %d slots of %s (%v)", n, most, code, err)
	}
}

// TestBorrowersAreNoMoreThanSlots: of the license and of each entitlement, and of what somebody borrowed with one, one
// lease is remembered until its end.
func TestBorrowersAreNoMoreThanSlots(t *testing.T) {
	for _, overflow := range []licensing.Overflow{licensing.OverflowRefuse, licensing.OverflowEvictOldest} {
		t.Run(string(overflow), func(t *testing.T) {
			each(t, func(t *testing.T, r *replica, d *db.DB) {
				f := licensing.DefaultFloatingTerms(4)
				f.Activation, f.BorrowMaxHours, f.Overflow = licensing.LeaseActivationNone, 8760, overflow
				wanted := floating(f)
				wanted.Entitlements = &[]licensing.Entitlement{}
				for code, slots := range slotsOfCodes {
					e := licensing.Entitlement{Code: code, Slots: slots}
					*wanted.Entitlements = append(*wanted.Entitlements, e)
				}
				v := &travelers{t: t, d: d, leases: r.leases(t, d, r.clock), borrowed: map[lease.Claim]bool{}}
				v.made, v.until = create(t, r, wanted), licensing.End{At: r.clock.Now().Add(1000 * time.Hour)}
				v.run()
				v.check(r)
			})
		})
	}
}

func (v *travelers) check(r *replica) {
	holders, claims := map[lease.Holder]bool{}, map[string]int{}
	for c := range v.borrowed {
		holders[c.Holder] = true
		claims[c.Entitlement]++
	}
	if n := len(holders); n < 1 || n > 4 || claims["cad"] > 1 || claims["cam"] > 2 {
		v.t.Errorf("%d borrowed from 4 slots, with entitlements %v", n, claims)
	}
	r.clock.Advance(8 * 24 * time.Hour)
	v.remembered(len(v.borrowed))
	r.clock.Advance(1000 * time.Hour)
	v.remembered(0)
	another := lease.Request{Client: client("another"), Entitlement: "cad"}
	another.BorrowUntil.At = r.clock.Now().Add(time.Hour)
	if _, ok := v.take(another); !ok {
		v.t.Error("what was borrowed counts after its end")
	}
}

func (v *travelers) remembered(want int) {
	v.t.Helper()
	if _, err := v.leases.Store.(*store.Store).PruneLeases(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
	var n int64
	if err := v.d.Read(v.t.Context()).Table("leases").Count(&n).Error; err != nil || n != int64(want) {
		v.t.Errorf("%d leases are remembered, want %d (%v)", n, want, err)
	}
}
