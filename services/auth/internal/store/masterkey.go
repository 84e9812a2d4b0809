package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

// SigningKeyRows are the signing keys, by the master key that seals them. There are never more than a few.
func SigningKeyRows(d *db.DB, ring *keyring.Ring) masterkey.Rows {
	k := signingKeyRows{db: d, ring: ring}
	return masterkey.Rows{What: "signing keys", Count: k.count, Reseal: k.reseal}
}

type signingKeyRows struct {
	db   *db.DB
	ring *keyring.Ring
}

func (k signingKeyRows) count(tx *gorm.DB) (map[string]int, error) {
	var rows []signingRow
	err := tx.Select("sealed_private").Find(&rows).Error
	counts := map[string]int{}
	for _, r := range rows {
		counts[k.ring.SealedBy(r.SealedPrivate)]++
	}
	return counts, err
}

func (k signingKeyRows) reseal(ctx context.Context, progress func(done int)) (done int, err error) {
	err = k.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		done = 0
		var rows []signingRow
		if err := k.db.Lock(tx).Order("generation").Find(&rows).Error; err != nil {
			return err
		}
		for _, r := range rows {
			if k.ring.SealedBy(r.SealedPrivate) == k.ring.Name() {
				continue
			}
			if err := k.resealRow(tx, r); err != nil {
				return err
			}
			done++
		}
		return nil
	})
	progress(done)
	return done, err
}

func (k signingKeyRows) resealRow(tx *gorm.DB, r signingRow) error {
	key, err := signingKey(k.ring, r)
	if err != nil {
		return err
	}
	fresh, err := newSigningRow(k.ring, key)
	if err != nil {
		return err
	}
	return tx.Model(&signingRow{}).Where("id = ?", r.ID).Update("sealed_private", fresh.SealedPrivate).Error
}
