package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// fileKeyPurpose binds ciphertexts of file keys to what they are for.
const fileKeyPurpose = "license-file-key"

type fileKeyRow struct {
	KID         string `gorm:"column:kid"`
	Use         string
	Product     string
	Sealed      []byte
	MasterKey   string
	Certificate []byte
	NotBefore   time.Time
	NotAfter    time.Time
	RetiredAt   *time.Time
	ListedUntil *time.Time
}

func (r *fileKeyRow) key(ring *keyring.Ring) (*licensefile.Key, error) {
	seed, err := ring.Open(fileKeyPurpose, r.Sealed, []byte(r.KID))
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	return &licensefile.Key{
		KID: r.KID, Use: r.Use, Product: r.Product, Private: private, Public: private.Public().(ed25519.PublicKey),
		Certificate: r.Certificate, NotBefore: r.NotBefore.UTC(), NotAfter: r.NotAfter.UTC(),
		RetiredAt: value(r.RetiredAt),
	}, nil
}

// CurrentFileKey implements licensefile.KeyStore.
func (s *Store) CurrentFileKey(ctx context.Context, use, product string) (*licensefile.Key, error) {
	return s.currentFileKey(s.db.Read(ctx), use, product)
}

func (s *Store) currentFileKey(tx *gorm.DB, use, product string) (*licensefile.Key, error) {
	var row fileKeyRow
	err := tx.Table("file_keys").Where("use = ? AND product = ? AND retired_at IS NULL", use, product).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, translate(err)
	}
	k, err := row.key(s.keys.Ring)
	if errors.Is(err, keyring.ErrUnknownKey) {
		err = masterkey.ErrMissing.WithCause(err)
	}
	return k, err
}

// AddFileKey implements licensefile.KeyStore.
func (s *Store) AddFileKey(ctx context.Context, k licensefile.Key) (current *licensefile.Key, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// Another process may make one at the same time: the unique index decides, and what is in the table counts.
		if err := s.insertFileKey(tx, k); err != nil {
			return err
		}
		current, err = s.currentFileKey(tx, k.Use, k.Product)
		return err
	})
	return current, translate(err)
}

func (s *Store) insertFileKey(tx *gorm.DB, k licensefile.Key) error {
	if err := s.keys.Guard(tx); err != nil {
		return err
	}
	sealed, err := s.keys.Ring.Seal(fileKeyPurpose, k.Private.Seed(), []byte(k.KID))
	if err != nil {
		return err
	}
	row := fileKeyRow{
		KID: k.KID, Use: k.Use, Product: k.Product, Sealed: sealed, MasterKey: s.keys.Ring.Name(),
		Certificate: append([]byte{}, k.Certificate...), NotBefore: k.NotBefore, NotAfter: k.NotAfter,
	}
	return tx.Table("file_keys").Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
}

// ReplaceFileKey implements licensefile.KeyStore.
func (s *Store) ReplaceFileKey(
	ctx context.Context, k licensefile.Key, listedUntil time.Time, event proto.Message,
) error {
	return translate(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		// Replacements wait for one another at the root: of two at once, the second retires the key of the first.
		err := s.db.Lock(tx).Table("file_keys").Where("use = 'root' AND retired_at IS NULL").Take(&fileKeyRow{}).Error
		if err != nil {
			return err
		}
		err = tx.Table("file_keys").Where("use = ? AND product = ? AND retired_at IS NULL", k.Use, k.Product).
			Updates(map[string]any{"retired_at": k.NotBefore, "listed_until": listedUntil}).Error
		if err != nil {
			return err
		}
		if err := s.insertFileKey(tx, k); err != nil || event == nil {
			return err
		}
		return s.publish(ctx, tx, k.KID, []proto.Message{event})
	}))
}

// ListedFileKeys implements licensefile.KeyStore.
func (s *Store) ListedFileKeys(ctx context.Context, now time.Time) ([]licensefile.Key, error) {
	var rows []fileKeyRow
	err := s.db.Read(ctx).Table("file_keys").Where("retired_at IS NULL OR listed_until > ?", now).
		Order("CASE WHEN use = 'root' THEN 0 ELSE 1 END, use, product, not_before DESC, kid").Find(&rows).Error
	keys := make([]licensefile.Key, 0, len(rows))
	for _, row := range rows {
		k, err := row.key(s.keys.Ring)
		if err != nil {
			return nil, masterkey.ErrMissing.WithCause(err)
		}
		k.Private = nil
		keys = append(keys, *k)
	}
	return keys, translate(err)
}
