package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

type familyRow struct {
	ID              string
	LicenseID       string
	HardwareID      string
	LicenseVersion  int
	UserCredentials *int64
	CreatedAt       time.Time
	RevokedAt       *time.Time
	ExpiresAt       time.Time
	CurrentSHA256   []byte `gorm:"column:current_sha256"`
	PreviousSHA256  []byte `gorm:"column:previous_sha256"`
	InUse           bool
	Rotations       int
	Answer          []byte
}

// familyColumns leave out the answer, which is large and of use to Rotate alone.
var familyColumns = db.Columns("f", familyRow{}, "answer")

// TableName implements gorm's Tabler.
func (familyRow) TableName() string { return "token_families" }

func (r familyRow) family() credential.Family {
	return credential.Family{
		ID: r.ID, LicenseID: r.LicenseID, HardwareID: r.HardwareID,
		Standing:  credential.Standing{LicenseVersion: r.LicenseVersion, UserCredentials: r.UserCredentials},
		CreatedAt: r.CreatedAt.UTC(), RevokedAt: orZero(r.RevokedAt),
		Current: hashOf(r.CurrentSHA256), Previous: hashOf(r.PreviousSHA256), InUse: r.InUse, Rotations: r.Rotations,
		Answer: r.Answer, ExpiresAt: r.ExpiresAt.UTC(),
	}
}

// hashOf is zero for NULL.
func hashOf(sum []byte) (hash [32]byte) {
	copy(hash[:], sum)
	return hash
}

type refreshRow struct {
	SHA256    []byte `gorm:"column:sha256"`
	FamilyID  string
	Rotation  int
	AccessID  string
	CreatedAt time.Time
	ExpiresAt time.Time
	Void      bool
}

// TableName implements gorm's Tabler.
func (refreshRow) TableName() string { return "refresh_tokens" }

func newRefreshRow(t credential.RefreshToken, rotation int) refreshRow {
	return refreshRow{
		SHA256:    t.Hash[:],
		FamilyID:  t.FamilyID,
		Rotation:  rotation,
		AccessID:  t.AccessID,
		CreatedAt: t.CreatedAt,
		ExpiresAt: t.ExpiresAt,
	}
}

// CreateFamily implements credential.FamilyStore.
func (s *Store) CreateFamily(ctx context.Context, f credential.Family, first credential.RefreshToken) error {
	family := familyRow{
		ID: f.ID, LicenseID: f.LicenseID, HardwareID: f.HardwareID, LicenseVersion: f.LicenseVersion,
		UserCredentials: f.UserCredentials, CreatedAt: f.CreatedAt, ExpiresAt: first.ExpiresAt,
		CurrentSHA256: first.Hash[:],
	}
	t := newRefreshRow(first, 0)
	return s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Create(&family).Error; err != nil {
			return fmt.Errorf("insert token family: %w", err)
		}
		if err := tx.Create(&t).Error; err != nil {
			return fmt.Errorf("insert refresh token: %w", err)
		}
		return boundFamilies(tx, family)
	})
}

// A device has the newest familiesKept families, and those with a live access token, which are at most familiesLive, so
// that none fills the table. What peer services keep of a live token stays true: it is not forgotten behind their
// backs.
const (
	familiesKept = 100
	familiesLive = 1000
	// familiesForgotten bounds what one call has to do for those before it. Each takes up to rotationsKept refresh
	// tokens along.
	familiesForgotten = 20
)

// boundFamilies forgets the oldest families of the device of the newest one, or refuses that one.
func boundFamilies(tx *gorm.DB, newest familyRow) error {
	// The end of a family is that of its newest refresh token: those that end later have a pair from within the life of
	// an access token.
	live := newest.ExpiresAt.Add(-credential.AccessFor)
	const oldest = `DELETE FROM token_families WHERE id IN (SELECT id FROM (SELECT id, expires_at FROM token_families
		WHERE license_id = ? AND hardware_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?) AS old
		WHERE expires_at <= ? LIMIT ?)`
	if err := tx.Exec(oldest, newest.LicenseID, newest.HardwareID, familiesLive+pruneBatch, familiesKept, live,
		familiesForgotten).Error; err != nil {
		return fmt.Errorf("forget the oldest token families: %w", err)
	}
	var left int64
	err := tx.Model(&familyRow{}).Where("license_id = ? AND hardware_id = ? AND expires_at > ?",
		newest.LicenseID, newest.HardwareID, live).Count(&left).Error
	if err != nil {
		return fmt.Errorf("count live token families: %w", err)
	}
	if left > familiesLive {
		return credential.ErrTooManyTokens
	}
	return nil
}

// RefreshToken implements credential.FamilyStore.
func (s *Store) RefreshToken(ctx context.Context, hash [32]byte) (credential.Family, credential.RefreshToken, error) {
	var row struct {
		Family         familyRow `gorm:"embedded"`
		TokenAccessID  string
		TokenCreatedAt time.Time
		TokenExpiresAt time.Time
	}
	err := s.db.Read(ctx).Table("token_families AS f").
		Select(familyColumns+
			", t.access_id AS token_access_id, t.created_at AS token_created_at, t.expires_at AS token_expires_at").
		Joins("JOIN refresh_tokens AS t ON t.family_id = f.id").
		Where("t.sha256 = ?", hash[:]).Take(&row).Error
	if err != nil {
		return credential.Family{}, credential.RefreshToken{}, notFound(err, credential.ErrTokenUnknown)
	}
	return row.Family.family(), credential.RefreshToken{
		Hash: hash, FamilyID: row.Family.ID, AccessID: row.TokenAccessID,
		CreatedAt: row.TokenCreatedAt.UTC(), ExpiresAt: row.TokenExpiresAt.UTC(),
	}, nil
}

// rotationsKept is how many refresh tokens of a family are remembered, so that no client can fill the table. One
// forgotten is refused as unknown; at one rotation an hour, tokens end before they are forgotten.
const rotationsKept = 1000

// Rotate implements credential.FamilyStore.
func (s *Store) Rotate(
	ctx context.Context, t, next credential.RefreshToken, wanted func(credential.Family) bool,
) error {
	return s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var row familyRow
		if err := s.db.Lock(tx).Where("id = ?", t.FamilyID).Take(&row).Error; err != nil {
			return fmt.Errorf("lock token family: %w", err)
		}
		f := row.family()
		if !wanted(f) {
			return nil
		}
		return rotate(tx, f, t, next)
	})
}

func rotate(tx *gorm.DB, f credential.Family, t, next credential.RefreshToken) error {
	rotation := f.Rotations + 1
	made := newRefreshRow(next, rotation)
	errs := []error{
		tx.Model(&familyRow{}).Where("id = ?", f.ID).Updates(map[string]any{
			"current_sha256": next.Hash[:], "previous_sha256": t.Hash[:], "in_use": false, "rotations": rotation,
			"expires_at": next.ExpiresAt, "answer": next.Answer,
		}).Error,
		tx.Create(&made).Error,
	}
	if rotation > rotationsKept {
		errs = append(errs, tx.Where("family_id = ? AND rotation <= ?", f.ID, rotation-rotationsKept).
			Delete(&refreshRow{}).Error)
	}
	if f.Current != t.Hash {
		errs = append(errs, tx.Model(&refreshRow{}).Where("sha256 = ?", f.Current[:]).Update("void", true).Error)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	return nil
}

// RevokeFamily implements credential.FamilyStore.
func (s *Store) RevokeFamily(
	ctx context.Context, id string, at time.Time, records ...credential.Record,
) (revoked bool, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		res := tx.Model(&familyRow{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", at)
		if revoked = res.Error == nil && res.RowsAffected == 1; !revoked {
			return res.Error
		}
		return s.record(ctx, tx, at, records)
	})
	return revoked && err == nil, err
}

// UseAccess implements credential.FamilyStore. A pair is noted once; from then on this only reads. While the database
// takes no changes it is noted by the first call after that: nothing can replace the pair before.
func (s *Store) UseAccess(ctx context.Context, familyID, accessID string) (credential.AccessState, error) {
	for {
		state, current, err := s.accessState(ctx, familyID, accessID)
		if err != nil || state.Revoked || state.Void || current == nil || s.db.ReadOnly() {
			return state, db.Error(err)
		}
		noted := false
		err = s.tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			res := tx.Model(&familyRow{}).Where("id = ? AND current_sha256 = ? AND revoked_at IS NULL",
				familyID, current).Update("in_use", true)
			noted = res.RowsAffected == 1
			return res.Error
		})
		if err != nil || noted {
			return state, err
		} // otherwise the family has changed since it was read
	}
}

// accessState also returns the hash of the current refresh token where its pair is the one asked about, could be
// replaced, and is not in use yet.
func (s *Store) accessState(
	ctx context.Context, familyID, accessID string,
) (state credential.AccessState, current []byte, err error) {
	var row struct {
		Family familyRow `gorm:"embedded"`
		Sha256 []byte
		Void   bool
	}
	err = s.db.Read(ctx).Table("token_families AS f").Select(familyColumns+", t.sha256, t.void").
		Joins("LEFT JOIN refresh_tokens AS t ON t.family_id = f.id AND t.access_id = ?", accessID).
		Where("f.id = ?", familyID).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return credential.AccessState{Revoked: true}, nil, nil
	}
	f := row.Family.family()
	state = credential.AccessState{Revoked: !f.RevokedAt.IsZero(), Void: row.Void || row.Sha256 == nil}
	if f.Current == hashOf(row.Sha256) && f.Previous != [32]byte{} && !f.InUse {
		current = row.Sha256
	}
	return state, current, err
}

const pruneBatch = 500

// Prune deletes refresh tokens, families and secrets of API keys that ended before then, in small batches, and returns
// how many rows those were. A refresh token is kept until its end, used or not: until then its reuse must be noticed.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for _, ended := range []string{
		"DELETE FROM refresh_tokens WHERE sha256 IN (SELECT sha256 FROM refresh_tokens WHERE expires_at < ? " +
			"ORDER BY expires_at LIMIT ?)",
		"DELETE FROM token_families WHERE id IN (SELECT id FROM token_families WHERE expires_at < ? " +
			"ORDER BY expires_at LIMIT ?)",
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
