package licensing

import (
	"context"
)

// RevealKey shows the whole key again, which the audit log notes. Errors: ErrNotFound.
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
