package licensing

import (
	"context"
)

// Key is the whole key of a license, for what needs it to answer; it is not shown to people. Errors: ErrNotFound.
func (s *Seats) Key(ctx context.Context, licenseID string) (string, error) {
	return s.Store.Key(ctx, licenseID)
}

// RevealKey shows the whole key again, which the audit log notes. Who may is decided by admin (internal/api/routes.go,
// reveal-key). Errors: ErrNotFound.
func (s *Licenses) RevealKey(ctx context.Context, by *Actor, licenseID string) (string, error) {
	key, err := s.Store.Key(ctx, licenseID)
	if err != nil {
		return "", err
	}
	err = s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		ch.Emit(audited(by, "license.reveal_key", licenseID, nil, nil))
		return nil
	})
	return key, err
}
