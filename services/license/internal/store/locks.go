package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Lock implements licensing.Store.
func (s *Store) Lock(ctx context.Context, licenseIDs []string) error {
	known := slices.DeleteFunc(slices.Clone(licenseIDs), func(id string) bool { return uuid.Validate(id) != nil })
	if len(known) == 0 {
		return nil
	}
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var locked []string
		return s.db.Lock(tx).Table("licenses").Where("id IN ?", known).Order("id").Pluck("id", &locked).Error
	}))
}
