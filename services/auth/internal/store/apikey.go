package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

type keyRow struct {
	ID               string
	ClientName       string
	AllowedEndpoints db.JSON
	Product          string
	PerMinute        int
	PerHour          int
	Per              string
	CreatedAt        time.Time
	ExpiresAt        *time.Time
	RevokedAt        *time.Time
}

var keyColumns = db.Columns("k", keyRow{})

// TableName implements gorm's Tabler.
func (keyRow) TableName() string { return "api_keys" }

func newKeyRow(k credential.APIKey) (keyRow, error) {
	allowed, err := json.Marshal(k.Allowed)
	return keyRow{
		ID:               k.ID,
		ClientName:       k.ClientName,
		AllowedEndpoints: allowed,
		Product:          k.Product,
		PerMinute:        k.RateLimit.PerMinute,
		PerHour:          k.RateLimit.PerHour,
		Per:              k.RateLimit.Per,
		CreatedAt:        k.CreatedAt,
		ExpiresAt:        optional(k.ExpiresAt),
		RevokedAt:        optional(k.RevokedAt),
	}, err
}

func (r keyRow) key() (credential.APIKey, error) {
	k := credential.APIKey{
		ID:         r.ID,
		ClientName: r.ClientName,
		Product:    r.Product,
		CreatedAt:  r.CreatedAt.UTC(),
		ExpiresAt:  orZero(r.ExpiresAt),
		RevokedAt:  orZero(r.RevokedAt),
		RateLimit:  credential.RateLimit{PerMinute: r.PerMinute, PerHour: r.PerHour, Per: r.Per},
	}
	if err := json.Unmarshal(r.AllowedEndpoints, &k.Allowed); err != nil {
		return k, fmt.Errorf("allowed_endpoints of API key %s: %w", r.ID, err)
	}
	return k, nil
}

type keySecretRow struct {
	SHA256    []byte `gorm:"column:sha256"`
	APIKeyID  string `gorm:"column:api_key_id"`
	CreatedAt time.Time
	ExpiresAt *time.Time
}

// TableName implements gorm's Tabler.
func (keySecretRow) TableName() string { return "api_key_secrets" }

func newKeySecretRow(id string, s credential.KeySecret) keySecretRow {
	return keySecretRow{SHA256: s.Hash[:], APIKeyID: id, CreatedAt: s.CreatedAt, ExpiresAt: optional(s.ExpiresAt)}
}

// CreateKey implements credential.KeyStore.
func (s *Store) CreateKey(
	ctx context.Context, k credential.APIKey, first credential.KeySecret, records ...credential.Record,
) error {
	row, err := newKeyRow(k)
	if err != nil {
		return fmt.Errorf("encode allowed endpoints: %w", err)
	}
	return s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("insert API key: %w", err)
		}
		held := newKeySecretRow(k.ID, first)
		if err := tx.Create(&held).Error; err != nil {
			return fmt.Errorf("insert API key secret: %w", err)
		}
		return s.record(ctx, tx, k.CreatedAt, records)
	})
}

// Keys implements credential.KeyStore.
func (s *Store) Keys(ctx context.Context) ([]credential.APIKey, error) {
	var rows []keyRow
	if err := s.db.Read(ctx).Where("revoked_at IS NULL").Order("created_at DESC, id DESC").
		Find(&rows).Error; err != nil {
		return nil, db.Error(err)
	}
	keys := make([]credential.APIKey, len(rows))
	for i, r := range rows {
		k, err := r.key()
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

// KeyBySecret implements credential.KeyStore.
func (s *Store) KeyBySecret(ctx context.Context, hash [32]byte) (credential.APIKey, credential.KeySecret, error) {
	var row struct {
		Key             keyRow `gorm:"embedded"`
		SecretCreatedAt time.Time
		SecretExpiresAt *time.Time
	}
	err := s.db.Read(ctx).Table("api_keys AS k").
		Select(keyColumns+", s.created_at AS secret_created_at, s.expires_at AS secret_expires_at").
		Joins("JOIN api_key_secrets AS s ON s.api_key_id = k.id").
		Where("s.sha256 = ?", hash[:]).Take(&row).Error
	if err != nil {
		return credential.APIKey{}, credential.KeySecret{}, notFound(err, credential.ErrAPIKeyNotFound)
	}
	k, err := row.Key.key()
	return k, credential.KeySecret{
		Hash:      hash,
		CreatedAt: row.SecretCreatedAt.UTC(),
		ExpiresAt: orZero(row.SecretExpiresAt),
	}, err
}

// UpdateKey implements credential.KeyStore.
func (s *Store) UpdateKey(
	ctx context.Context, id string, at time.Time,
	change func(credential.APIKey) (credential.APIKey, []credential.Record),
) error {
	return s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		k, err := s.lockKey(tx, id)
		if err != nil {
			return err
		}
		k, records := change(k)
		row, err := newKeyRow(k)
		if err != nil {
			return fmt.Errorf("encode allowed endpoints: %w", err)
		}
		if err := tx.Model(&keyRow{}).Where("id = ?", id).Select("*").Omit("id", "created_at").
			Updates(&row).Error; err != nil {
			return fmt.Errorf("update API key: %w", err)
		}
		return s.record(ctx, tx, at, records)
	})
}

// RevokeKey implements credential.KeyStore.
func (s *Store) RevokeKey(
	ctx context.Context, id string, at time.Time, records func(credential.APIKey) []credential.Record,
) error {
	return s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		k, err := s.lockKey(tx, id)
		if err != nil {
			return err
		}
		if err := tx.Model(&keyRow{}).Where("id = ?", id).Update("revoked_at", at).Error; err != nil {
			return fmt.Errorf("revoke API key: %w", err)
		}
		return s.record(ctx, tx, at, records(k))
	})
}

// RotateKey implements credential.KeyStore.
func (s *Store) RotateKey(
	ctx context.Context, id string, next credential.KeySecret, oldEnd time.Time,
	records func(credential.APIKey) []credential.Record,
) (k credential.APIKey, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if k, err = s.lockKey(tx, id); err != nil {
			return err
		}
		ended := tx.Model(&keySecretRow{}).Where("api_key_id = ? AND (expires_at IS NULL OR expires_at > ?)",
			id, oldEnd).Update("expires_at", oldEnd)
		if ended.Error != nil {
			return fmt.Errorf("end old secrets: %w", ended.Error)
		}
		held := newKeySecretRow(id, next)
		if err := tx.Create(&held).Error; err != nil {
			return fmt.Errorf("insert API key secret: %w", err)
		}
		return s.record(ctx, tx, next.CreatedAt, records(k))
	})
	return k, err
}

// lockKey reads a key in force and keeps others from changing it.
func (s *Store) lockKey(tx *gorm.DB, id string) (credential.APIKey, error) {
	var row keyRow
	if err := s.db.Lock(tx).Where("id = ? AND revoked_at IS NULL", id).Take(&row).Error; err != nil {
		return credential.APIKey{}, notFound(err, credential.ErrAPIKeyNotFound)
	}
	return row.key()
}

// notFound is missing when err says that there is no row.
func notFound(err, missing error) error {
	if errors.Is(err, db.ErrNotFound) {
		return missing
	}
	return db.Error(err)
}
