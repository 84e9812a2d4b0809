package licensing

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// List reads a part of the licenses that f selects, newest first. A search by key gets an audit entry for the license
// that has the key, one an hour for each administrator.
func (s *Licenses) List(ctx context.Context, by *Actor, f Filter) (Page[License], error) {
	now := s.Clock.Now()
	if f.Key != nil {
		if err := s.auditSearch(ctx, by, *f.Key, now); err != nil {
			return Page[License]{}, err
		}
	}
	return s.Reads.List(ctx, f, now)
}

// auditSearch notes that by asked for a key, whatever page and other filters came with it: that nothing matches them
// tells of the license, too.
func (s *Licenses) auditSearch(ctx context.Context, by *Actor, key string, now time.Time) error {
	holders, err := s.Reads.List(ctx, Filter{Key: &key, Page: 1, PerPage: 1}, now)
	if err != nil || len(holders.Items) == 0 {
		return err
	}
	found := keySearch{by.GetId(), holders.Items[0].ID}
	if s.searches.logged(now, found) {
		return nil
	}
	err = s.Store.Change(ctx, found.licenseID, nil, func(ch *Change) error {
		ch.Emit(audited(by, "license.find_by_key", found.licenseID, nil, nil))
		return nil
	})
	if errors.Is(err, apierr.ErrMaintenance) {
		s.Unaudited(ctx, by, "license.find_by_key", found.licenseID)
		err = nil
	}
	if err == nil {
		s.searches.note(now, found)
	}
	return err
}
