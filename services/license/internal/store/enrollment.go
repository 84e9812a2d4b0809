package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// deletedEnrollmentKeysKept is how many deleted enrollment keys a license remembers.
const deletedEnrollmentKeysKept = 1000

// enrollmentKeyRow mirrors the table enrollment_keys.
type enrollmentKeyRow struct {
	ID         string
	LicenseID  string
	KeySha256  []byte
	MaskedKey  string
	Label      string
	MaxDevices int
	ExpiresAt  *time.Time
	CreatedAt  time.Time
	DeletedAt  *time.Time
	Devices    int `gorm:"<-:false"`
}

func (r *enrollmentKeyRow) key() licensing.EnrollmentKey {
	return licensing.EnrollmentKey{
		ID:         r.ID,
		LicenseID:  r.LicenseID,
		MaskedKey:  r.MaskedKey,
		Label:      r.Label,
		MaxDevices: r.MaxDevices,
		Devices:    r.Devices,
		ExpiresAt:  value(r.ExpiresAt),
		CreatedAt:  r.CreatedAt.UTC(),
		DeletedAt:  value(r.DeletedAt),
	}
}

// enrollmentColumns reads an enrollment key with the seats that were taken by it.
var enrollmentColumns = db.Columns("enrollment_keys", enrollmentKeyRow{}, "devices") + `,
	(SELECT count(*) FROM devices WHERE enrollment_key_id = enrollment_keys.id AND is_active) AS devices`

func insertEnrollmentKey(tx *gorm.DB, n *licensing.NewEnrollment) error {
	row := enrollmentKeyRow{
		ID:         n.ID,
		LicenseID:  n.LicenseID,
		KeySha256:  enrollmentHash(licensing.NormalizeKey(n.Key)),
		MaskedKey:  n.MaskedKey,
		Label:      n.Label,
		MaxDevices: n.MaxDevices,
		ExpiresAt:  nullable(n.ExpiresAt),
		CreatedAt:  n.CreatedAt,
	}
	return tx.Table("enrollment_keys").Create(&row).Error
}

func (s *Store) deleteEnrollmentKey(tx *gorm.DB, licenseID, id string) error {
	const tooMany = `DELETE FROM enrollment_keys WHERE license_id = ? AND deleted_at IS NOT NULL AND id NOT IN (
		SELECT id FROM enrollment_keys WHERE license_id = ? AND deleted_at IS NOT NULL
		ORDER BY deleted_at DESC, id DESC LIMIT ?)`
	res := tx.Table("enrollment_keys").Where("id = ? AND license_id = ? AND deleted_at IS NULL", id, licenseID).
		Update("deleted_at", s.clock.Now())
	if err := wroteOne(res, "enrollment key"); err != nil {
		return err
	}
	return tx.Exec(tooMany, licenseID, licenseID, deletedEnrollmentKeysKept).Error
}

// EnrollmentKey implements licensing.LockedReads.
func (r *lockedReads) EnrollmentKey(id string) (*licensing.EnrollmentKey, error) {
	if !uid.Is(id) {
		return nil, nil
	}
	var row enrollmentKeyRow
	err := r.plain().Table("enrollment_keys").Select(enrollmentColumns).
		Where("license_id = ? AND id = ?", r.licenseID, id).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	key := row.key()
	return &key, err
}

// LiveEnrollmentKeys implements licensing.LockedReads.
func (r *lockedReads) LiveEnrollmentKeys() (int, error) {
	var n int64
	err := r.plain().Table("enrollment_keys").Where("license_id = ? AND deleted_at IS NULL", r.licenseID).
		Count(&n).Error
	return int(n), err
}

// plain reads without locks: that of the license holds off anyone who would change what is read.
func (r *lockedReads) plain() *gorm.DB { return r.tx.Session(&gorm.Session{NewDB: true}) }

// EnrollmentKeys implements licensing.Reads.
func (s *Store) EnrollmentKeys(
	ctx context.Context, licenseID string, span licensing.Span,
) (licensing.Page[licensing.EnrollmentKey], error) {
	if _, err := s.Find(ctx, licenseID); err != nil {
		return licensing.Page[licensing.EnrollmentKey]{}, err
	}
	live := func() *gorm.DB {
		return s.db.Read(ctx).Table("enrollment_keys").Where("license_id = ? AND deleted_at IS NULL", licenseID)
	}
	newest := newestFirst("created_at", func(r *enrollmentKeyRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readPage(live, enrollmentColumns, span, newest, (*enrollmentKeyRow).key)
}
