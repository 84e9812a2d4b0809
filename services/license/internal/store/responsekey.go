package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

// responseKeyPurpose binds ciphertexts of the keys that sign answers to what they are for.
const responseKeyPurpose = "response-key"

type responseKeyRow struct {
	Kind      string
	Sealed    []byte
	MasterKey string
	CreatedAt time.Time
}

// ResponseKey implements integration.ResponseStore.
func (s *Store) ResponseKey(ctx context.Context, kind string) ([]byte, error) {
	return s.responseKey(s.db.Read(ctx), kind)
}

func (s *Store) responseKey(tx *gorm.DB, kind string) ([]byte, error) {
	var row responseKeyRow
	err := tx.Table("response_keys").Where("kind = ?", kind).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, translate(err)
	}
	key, err := s.keys.Ring.Open(responseKeyPurpose, row.Sealed, []byte(kind))
	if errors.Is(err, keyring.ErrUnknownKey) {
		err = masterkey.ErrMissing.WithCause(err)
	}
	return key, err
}

// AddResponseKey implements integration.ResponseStore.
func (s *Store) AddResponseKey(ctx context.Context, kind string, key []byte, at time.Time) (kept []byte, err error) {
	sealed, err := s.keys.Ring.Seal(responseKeyPurpose, key, []byte(kind))
	if err != nil {
		return nil, err
	}
	row := responseKeyRow{Kind: kind, Sealed: sealed, MasterKey: s.keys.Ring.Name(), CreatedAt: at}
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := s.keys.Guard(tx); err != nil {
			return err
		}
		// Another process may make one at the same time: what is in the table counts.
		err := tx.Table("response_keys").Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
		if err != nil {
			return err
		}
		kept, err = s.responseKey(tx, kind)
		return err
	})
	return kept, translate(err)
}
