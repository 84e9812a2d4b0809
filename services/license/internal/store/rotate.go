package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// RotateMasterKey hashes and encrypts anew, under the current master key, every license key that a previous one protects.
// It can be stopped and started again, and runs beside live traffic, which looks under both keys. progress hears how many
// are done.
func (s *Store) RotateMasterKey(ctx context.Context, progress func(done int)) (int, error) {
	done := 0
	for {
		var rows []licenseRow
		err := s.db.Read(ctx).Table("licenses").Select("id", "key_sealed", "master_key").
			Where("master_key <> ?", s.ring.Name()).Limit(200).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return done, translate(err)
		}
		for _, row := range rows {
			if err := s.reseal(ctx, row); err != nil {
				return done, err
			}
			done++
		}
		progress(done)
	}
}

func (s *Store) reseal(ctx context.Context, row licenseRow) error {
	key, err := s.ring.Open(keyPurpose, row.KeySealed, []byte(row.ID))
	if err != nil {
		return fmt.Errorf("license %s is sealed with a master key that is neither the current nor the previous one: %w", row.ID, err)
	}
	old := row.MasterKey
	if err := s.sealKey(&row, string(key)); err != nil {
		return err
	}
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// Zero rows is fine: another run was faster.
		return tx.Table("licenses").Where("id = ? AND master_key = ?", row.ID, old).
			Updates(map[string]any{"key_hash": row.KeyHash, "key_sealed": row.KeySealed, "master_key": row.MasterKey}).Error
	}))
}

var (
	_ licensing.Store   = (*Store)(nil)
	_ licensing.Catalog = (*Store)(nil)
	_ licensing.Lookup  = (*Lookup)(nil)
	_ licensing.Seen    = (*Seen)(nil)
)
