package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// unwilling does not change some licenses.
type unwilling struct {
	licensing.Store
	licenseIDs []string
}

var errUnwilling = errors.New("this license is not changed")

func (s unwilling) Change(
	ctx context.Context, licenseID string, hardwareIDs []string, decide func(*licensing.Change) error,
) error {
	if slices.Contains(s.licenseIDs, licenseID) {
		return errUnwilling
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
			r.Licenses.Store = unwilling{r.store, ids[bad : bad+1]}
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
