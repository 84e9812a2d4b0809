package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

type familyRow struct {
	ID             string
	LicenseID      string
	HardwareID     string
	LicenseVersion int
	CreatedAt      time.Time
	RevokedAt      *time.Time
	ExpiresAt      time.Time
}

// TableName implements gorm's Tabler.
func (familyRow) TableName() string { return "token_families" }

func (r familyRow) family() credential.Family {
	return credential.Family{
		ID: r.ID, LicenseID: r.LicenseID, HardwareID: r.HardwareID, LicenseVersion: r.LicenseVersion,
		CreatedAt: r.CreatedAt.UTC(), RevokedAt: orZero(r.RevokedAt),
	}
}

type refreshRow struct {
	SHA256    []byte `gorm:"column:sha256"`
	FamilyID  string
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    *time.Time
}

// TableName implements gorm's Tabler.
func (refreshRow) TableName() string { return "refresh_tokens" }

func newRefreshRow(t credential.RefreshToken) refreshRow {
	return refreshRow{SHA256: t.Hash[:], FamilyID: t.FamilyID, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, UsedAt: optional(t.UsedAt)}
}

// CreateFamily implements credential.FamilyStore.
func (s *Store) CreateFamily(ctx context.Context, f credential.Family, first credential.RefreshToken) error {
	family := familyRow{
		ID: f.ID, LicenseID: f.LicenseID, HardwareID: f.HardwareID, LicenseVersion: f.LicenseVersion,
		CreatedAt: f.CreatedAt, ExpiresAt: first.ExpiresAt,
	}
	t := newRefreshRow(first)
	return s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Create(&family).Error; err != nil {
			return fmt.Errorf("insert token family: %w", err)
		}
		if err := tx.Create(&t).Error; err != nil {
			return fmt.Errorf("insert refresh token: %w", err)
		}
		return forgetFamilies(tx, f)
	})
}

// familiesKept is how many families a device has at most, so that none fills the table; a new one ends the oldest.
const familiesKept = 100

func forgetFamilies(tx *gorm.DB, newest credential.Family) error {
	const oldest = `DELETE FROM token_families WHERE id IN (SELECT id FROM token_families
		WHERE license_id = ? AND hardware_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?)`
	if err := tx.Exec(oldest, newest.LicenseID, newest.HardwareID, pruneBatch, familiesKept).Error; err != nil {
		return fmt.Errorf("forget the oldest token families: %w", err)
	}
	return nil
}

// RefreshToken implements credential.FamilyStore.
func (s *Store) RefreshToken(ctx context.Context, hash [32]byte) (credential.Family, credential.RefreshToken, error) {
	var row struct {
		Family         familyRow `gorm:"embedded"`
		TokenCreatedAt time.Time
		TokenExpiresAt time.Time
		TokenUsedAt    *time.Time
	}
	err := s.db.Read(ctx).Table("token_families AS f").
		Select("f.*, t.created_at AS token_created_at, t.expires_at AS token_expires_at, t.used_at AS token_used_at").
		Joins("JOIN refresh_tokens AS t ON t.family_id = f.id").
		Where("t.sha256 = ?", hash[:]).Take(&row).Error
	if err != nil {
		return credential.Family{}, credential.RefreshToken{}, notFound(err, credential.ErrTokenUnknown)
	}
	return row.Family.family(), credential.RefreshToken{
		Hash: hash, FamilyID: row.Family.ID, CreatedAt: row.TokenCreatedAt.UTC(), ExpiresAt: row.TokenExpiresAt.UTC(), UsedAt: orZero(row.TokenUsedAt),
	}, nil
}

// UseRefreshToken implements credential.FamilyStore. Of concurrent calls exactly one finds the token unused.
func (s *Store) UseRefreshToken(ctx context.Context, hash [32]byte, at time.Time, next credential.RefreshToken) (first bool, err error) {
	const unused = `sha256 = ? AND used_at IS NULL AND EXISTS
		(SELECT 1 FROM token_families AS f WHERE f.id = refresh_tokens.family_id AND f.revoked_at IS NULL)`
	t := newRefreshRow(next)
	err = s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		used := tx.Model(&refreshRow{}).Where(unused, hash[:]).Update("used_at", at)
		if first = used.Error == nil && used.RowsAffected == 1; !first {
			return used.Error
		}
		if err := tx.Create(&t).Error; err != nil {
			return fmt.Errorf("insert refresh token: %w", err)
		}
		lived := tx.Model(&familyRow{}).Where("id = ?", next.FamilyID).Update("expires_at", next.ExpiresAt)
		if lived.Error == nil && lived.RowsAffected != 1 {
			return fmt.Errorf("token family %s is gone", next.FamilyID)
		}
		return lived.Error
	})
	return first && err == nil, err
}

// RevokeFamily implements credential.FamilyStore.
func (s *Store) RevokeFamily(ctx context.Context, id string, at time.Time, records ...credential.Record) (revoked bool, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		res := tx.Model(&familyRow{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", at)
		if revoked = res.Error == nil && res.RowsAffected == 1; !revoked {
			return res.Error
		}
		return s.record(ctx, tx, at, records)
	})
	return revoked && err == nil, err
}

// FamilyRevoked implements credential.FamilyStore.
func (s *Store) FamilyRevoked(ctx context.Context, id string) (bool, error) {
	var standing int64
	err := s.db.Read(ctx).Model(&familyRow{}).Where("id = ? AND revoked_at IS NULL", id).Count(&standing).Error
	return standing == 0, db.Error(err)
}

const pruneBatch = 500

// Prune deletes refresh tokens, families and secrets of API keys that ended before then, in small batches, and returns how many
// rows those were. A used refresh token is kept until its end: until then its reuse must be noticed.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for _, ended := range []string{
		"DELETE FROM refresh_tokens WHERE sha256 IN (SELECT sha256 FROM refresh_tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
		"DELETE FROM token_families WHERE id IN (SELECT id FROM token_families WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
		"DELETE FROM api_key_secrets WHERE sha256 IN (SELECT sha256 FROM api_key_secrets WHERE expires_at < ? LIMIT ?)",
	} {
		n, err := s.prune(ctx, ended, before)
		if total += n; err != nil {
			return total, fmt.Errorf("prune: %w", err)
		}
	}
	return total, nil
}

func (s *Store) prune(ctx context.Context, statement string, before time.Time) (total int, err error) {
	for {
		var n int
		err = s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			res := tx.Exec(statement, before, pruneBatch)
			n = int(res.RowsAffected)
			return res.Error
		})
		if total += n; err != nil || n < pruneBatch {
			return total, err
		}
	}
}
