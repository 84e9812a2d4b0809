package store_test

import (
	"context"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestTheListOfExpiredLicenses is in one order and complete, whether it was told already that a license has expired or
// not, page by page and by its cursor.
func TestTheListOfExpiredLicenses(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		r := replicas(t, d, 1)[0]
		var want []string
		for i := range 12 {
			r.clock.Set(noon.Add(time.Duration(i) * time.Minute))
			made := create(t, r, with(licensing.TermsChange{DurationDays: licensing.Some(1 + i%3)}))
			if i%3 < 2 {
				want = append([]string{made.License.ID}, want...)
			}
		}
		at := noon.AddDate(0, 0, 1).Add(time.Hour)
		r.clock.Set(at)
		if _, err := r.AnnounceDue(t.Context()); err != nil { // tells of those of one day
			t.Fatal(err)
		}
		at = at.AddDate(0, 0, 1) // those of two have expired as well
		for _, told := range []bool{false, true} {
			if told {
				r.clock.Set(at)
				if _, err := r.AnnounceDue(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, perPage := range []int{1, 3, 100} {
				wantIDs(t, want, listedBy(t, r, at, perPage, false))
				wantIDs(t, want, listedBy(t, r, at, perPage, true))
			}
		}
		wantTold(t, d, len(want))
	})
}

// listedBy reads the list of the expired, by pages or by the cursor of each page.
func listedBy(t *testing.T, r *replica, at time.Time, perPage int, byCursor bool) (ids []string) {
	t.Helper()
	f := licensing.Filter{Status: licensing.StatusExpired, Page: 1, PerPage: perPage}
	for {
		page, err := r.store.List(t.Context(), f, at)
		if err != nil || page.Total != 8 {
			t.Fatalf("%d in all, want 8 (%v)", page.Total, err)
		}
		for i := range page.Items {
			ids = append(ids, page.Items[i].ID)
		}
		if page.Next == nil {
			return ids
		}
		if f.Page++; byCursor {
			f.Page, f.After = 1, page.Next
		}
	}
}

func wantIDs(t *testing.T, want, got []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d licenses, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("license %d is %s, want %s", i, got[i], want[i])
		}
	}
}

// wantTold checks the test itself: the rows of both parts were there.
func wantTold(t *testing.T, d *db.DB, want int) {
	t.Helper()
	var told int64
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("licenses").Where("announced = 'expired'").Count(&told).Error
	})
	if err != nil || int(told) != want {
		t.Errorf("it was told of %d, want %d (%v)", told, want, err)
	}
}
