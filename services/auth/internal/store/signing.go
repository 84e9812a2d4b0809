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
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
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
	RevokedAt     *time.Time
}

// TableName implements gorm's Tabler.
func (signingRow) TableName() string { return "signing_keys" }

func newSigningRow(ring *keyring.Ring, k credential.SigningKey) (signingRow, error) {
	sealed, err := ring.Seal(sealPurpose, k.Private.Seed(), []byte(k.ID))
	return signingRow{
		ID: k.ID, Generation: k.Generation, SealedPrivate: sealed, CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom,
		NeededUntil: optional(k.NeededUntil), RevokedAt: optional(k.RevokedAt),
	}, err
}

func signingKey(ring *keyring.Ring, r signingRow) (credential.SigningKey, error) {
	seed, err := ring.Open(sealPurpose, r.SealedPrivate, []byte(r.ID))
	if errors.Is(err, keyring.ErrUnknownKey) {
		return credential.SigningKey{}, masterkey.ErrMissing.WithCause(fmt.Errorf("signing key %s: %w", r.ID, err))
	}
	if err != nil {
		return credential.SigningKey{}, fmt.Errorf("open signing key %s: %w", r.ID, err)
	}
	if len(seed) != ed25519.SeedSize {
		return credential.SigningKey{}, fmt.Errorf("open signing key %s: %w", r.ID,
			errors.New("it has the wrong length"))
	}
	return credential.SigningKey{
		ID: r.ID, Generation: r.Generation, Private: ed25519.NewKeyFromSeed(seed),
		CreatedAt: r.CreatedAt.UTC(), SignsFrom: r.SignsFrom.UTC(),
		NeededUntil: orZero(r.NeededUntil), RevokedAt: orZero(r.RevokedAt),
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
		k, err := signingKey(s.keys.Ring, r)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

// AddSigningKey implements credential.SigningStore.
func (s *Store) AddSigningKey(
	ctx context.Context, k credential.SigningKey, records ...credential.Record,
) (added bool, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if added, err = s.addSigningKey(tx, k); err != nil || !added {
			return err
		}
		return s.record(ctx, tx, k.CreatedAt, records)
	})
	return added && err == nil, err
}

// addSigningKey reports false when there is a key of that generation.
func (s *Store) addSigningKey(tx *gorm.DB, k credential.SigningKey) (bool, error) {
	if err := s.keys.Guard(tx); err != nil {
		return false, err
	}
	row, err := newSigningRow(s.keys.Ring, k)
	if err != nil {
		return false, err
	}
	res := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "generation"}}, DoNothing: true}).Create(&row)
	return res.RowsAffected == 1, res.Error
}

// errOvertaken undoes a change because another came first.
var errOvertaken = errors.New("store: another change came first")

// RevokeSigningKey implements credential.SigningStore.
func (s *Store) RevokeSigningKey(
	ctx context.Context, id string, at time.Time, successor *credential.SigningKey, records ...credential.Record,
) (bool, error) {
	err := s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		res := tx.Model(&signingRow{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", at)
		if err := changedOne(res); err != nil {
			return err
		}
		if successor != nil {
			added, err := s.addSigningKey(tx, *successor)
			if err == nil && !added {
				err = errOvertaken
			}
			if err != nil {
				return err
			}
		}
		return s.record(ctx, tx, at, records)
	})
	if errors.Is(err, errOvertaken) {
		return false, nil
	}
	return err == nil, err
}

func changedOne(res *gorm.DB) error {
	if res.Error == nil && res.RowsAffected != 1 {
		return errOvertaken
	}
	return res.Error
}

// SigningKeyStands implements credential.SigningStore.
func (s *Store) SigningKeyStands(ctx context.Context, id string) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Model(&signingRow{}).Where("id = ? AND revoked_at IS NULL", id).Count(&n).Error
	return n == 1, db.Error(err)
}

// ExtendSigningKey implements credential.SigningStore.
func (s *Store) ExtendSigningKey(ctx context.Context, id string, neededUntil time.Time) error {
	return s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// No row means that another replica needs the key for longer.
		return tx.Model(&signingRow{}).Where("id = ? AND (needed_until IS NULL OR needed_until < ?)", id, neededUntil).
			Update("needed_until", neededUntil).Error
	})
}
