package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// sealPurpose separates the keys that seal signing keys from those for other purposes.
const sealPurpose = "signing-key"

type signingRow struct {
	ID            string
	Generation    int
	SealedPrivate []byte
	CreatedAt     time.Time
	SignsFrom     time.Time
	NeededUntil   *time.Time
}

// TableName implements gorm's Tabler.
func (signingRow) TableName() string { return "signing_keys" }

func (s *Store) newSigningRow(k credential.SigningKey) (signingRow, error) {
	sealed, err := s.ring.Seal(sealPurpose, k.Private.Seed(), []byte(k.ID))
	return signingRow{
		ID: k.ID, Generation: k.Generation, SealedPrivate: sealed, CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom, NeededUntil: optional(k.NeededUntil),
	}, err
}

func (s *Store) signingKey(r signingRow) (credential.SigningKey, error) {
	seed, err := s.ring.Open(sealPurpose, r.SealedPrivate, []byte(r.ID))
	if err != nil {
		return credential.SigningKey{}, fmt.Errorf("open signing key %s: %w", r.ID, err)
	}
	if len(seed) != ed25519.SeedSize {
		return credential.SigningKey{}, fmt.Errorf("open signing key %s: %w", r.ID, errors.New("it has the wrong length"))
	}
	return credential.SigningKey{
		ID: r.ID, Generation: r.Generation, Private: ed25519.NewKeyFromSeed(seed),
		CreatedAt: r.CreatedAt.UTC(), SignsFrom: r.SignsFrom.UTC(), NeededUntil: orZero(r.NeededUntil),
	}, nil
}

// SigningKeys implements credential.SigningStore.
func (s *Store) SigningKeys(ctx context.Context) ([]credential.SigningKey, error) {
	var rows []signingRow
	if err := s.db.Read(ctx).Order("generation").Find(&rows).Error; err != nil {
		return nil, db.Error(err)
	}
	keys := make([]credential.SigningKey, len(rows))
	for i, r := range rows {
		k, err := s.signingKey(r)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

// AddSigningKey implements credential.SigningStore.
func (s *Store) AddSigningKey(ctx context.Context, k credential.SigningKey, records ...credential.Record) (added bool, err error) {
	row, err := s.newSigningRow(k)
	if err != nil {
		return false, err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		res := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "generation"}}, DoNothing: true}).Create(&row)
		if added = res.Error == nil && res.RowsAffected == 1; !added {
			return res.Error
		}
		return s.record(ctx, tx, k.CreatedAt, records)
	})
	return added && err == nil, err
}

// ExtendSigningKey implements credential.SigningStore.
func (s *Store) ExtendSigningKey(ctx context.Context, id string, neededUntil time.Time) error {
	return s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// No row means that another replica needs the key for longer.
		return tx.Model(&signingRow{}).Where("id = ? AND (needed_until IS NULL OR needed_until < ?)", id, neededUntil).
			Update("needed_until", neededUntil).Error
	})
}

// ResealSigningKeys seals under the current master key what was sealed under a previous one, and returns how many keys those
// were. It is safe beside running replicas that know both master keys.
func (s *Store) ResealSigningKeys(ctx context.Context) (n int, err error) {
	err = s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		n = 0
		var rows []signingRow
		if err := s.db.Lock(tx).Order("generation").Find(&rows).Error; err != nil {
			return err
		}
		for _, r := range rows {
			if s.ring.SealedBy(r.SealedPrivate) == s.ring.Name() {
				continue
			}
			if err := s.reseal(tx, r); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

func (s *Store) reseal(tx *gorm.DB, r signingRow) error {
	k, err := s.signingKey(r)
	if err != nil {
		return err
	}
	fresh, err := s.newSigningRow(k)
	if err != nil {
		return err
	}
	res := tx.Model(&signingRow{}).Where("id = ?", r.ID).Update("sealed_private", fresh.SealedPrivate)
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("signing key %s is gone", r.ID)
	}
	return res.Error
}
