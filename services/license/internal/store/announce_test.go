package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// unwilling does not change some licenses.
type unwilling struct {
	licensing.Store
	licenseIDs []string
	why        error
}

// away is a store that changes nothing, and counts how often it was to.
type away struct {
	licensing.Store
	tried int
}

func (s *away) Change(context.Context, string, []string, func(*licensing.Change) error) error {
	s.tried++
	return apierr.ErrUnavailable
}

var errUnwilling = errors.New("this license is not changed")

func (s unwilling) Change(
	ctx context.Context, licenseID string, hardwareIDs []string, decide func(*licensing.Change) error,
) error {
	if slices.Contains(s.licenseIDs, licenseID) {
		return s.why
	}
	return s.Store.Change(ctx, licenseID, hardwareIDs, decide)
}

// TestALicenseThatCannotBeChanged keeps no other from being announced, whichever comes first.
func TestALicenseThatCannotBeChanged(t *testing.T) {
	for _, bad := range []int{0, 1} {
		each(t, func(t *testing.T, r *replica, _ *db.DB) {
			var ids []string
			for range 2 {
				ids = append(ids, create(t, r, endsIn(40)).License.ID)
			}
			r.Licenses.Store = unwilling{r.store, ids[bad : bad+1], errUnwilling}
			r.clock.Set(noon.AddDate(0, 0, 20))
			if n, err := r.AnnounceExpiring(t.Context()); n != 1 || !errors.Is(err, errUnwilling) {
				t.Errorf("announced that %d expire (%v)", n, err)
			}
			r.clock.Set(noon.AddDate(0, 0, 50))
			if n, err := r.AnnounceDue(t.Context()); n != 1 || !errors.Is(err, errUnwilling) {
				t.Errorf("announced that %d have expired (%v)", n, err)
			}
		})
	}
}

// TestALockedLicense, held for as long as a change waits for it, keeps no other from being announced.
func TestALockedLicense(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		held := create(t, r, endsIn(40)).License.ID
		create(t, r, endsIn(41))
		r.Licenses.Store = unwilling{r.store, []string{held}, apierr.ErrUnavailable}
		r.clock.Set(noon.AddDate(0, 0, 50))
		if n, err := r.AnnounceDue(t.Context()); n != 1 || !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("announced that %d have expired (%v)", n, err)
		}
	})
}

// TestAnOutageEndsAnnouncements: not every license of hundreds is tried while the database is away.
func TestAnOutageEndsAnnouncements(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		for range 3 {
			create(t, r, endsIn(40))
		}
		for name, announce := range map[string]func(context.Context) (int, error){
			"of what ends soon": r.AnnounceExpiring, "of what has ended": r.AnnounceDue,
		} {
			gone := &away{Store: r.store}
			r.Licenses.Store = gone
			r.clock.Set(noon.AddDate(0, 0, map[string]int{"of what ends soon": 20, "of what has ended": 50}[name]))
			if n, err := announce(t.Context()); n != 0 || gone.tried != 2 || !errors.Is(err, apierr.ErrUnavailable) {
				t.Errorf("%s: %d told, %d tried (%v)", name, n, gone.tried, err)
			}
		}
	})
}
