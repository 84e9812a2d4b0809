package licensing

import "context"

// List reads one page of the licenses that f selects, newest first, and how many there are in all. A license that is found by its key
// gets an audit entry, one an hour for each administrator.
func (s *Licenses) List(ctx context.Context, by *Actor, f Filter) (page []License, total int, err error) {
	now := s.Clock.Now()
	page, total, err = s.Catalog.List(ctx, f, now)
	if err != nil || f.Key == nil {
		return page, total, err
	}
	for _, l := range page {
		found := find{by.GetId(), l.ID}
		if s.finds.in(now, found) {
			continue
		}
		err := s.Store.Change(ctx, l.ID, nil, func(ch *Change) error {
			ch.Emit(audit(by, "license.find_by_key", l.ID, nil, nil))
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
		s.finds.note(now, found)
	}
	return page, total, nil
}

// RevealKey shows the whole key again, which the audit log notes. Errors: ErrNotFound.
func (s *Licenses) RevealKey(ctx context.Context, by *Actor, licenseID string) (string, error) {
	key, err := s.Store.Key(ctx, licenseID)
	if err != nil {
		return "", err
	}
	err = s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		ch.Emit(audit(by, "license.reveal_key", licenseID, nil, nil))
		return nil
	})
	return key, err
}
