package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

const (
	// offlineRequestPurpose binds ciphertexts of answers to requests that were carried by hand to what they are for.
	offlineRequestPurpose = "offline-request"
	// offlineRequestsKept is how many answers a license remembers, and offlineRequestsKeptFor how long.
	offlineRequestsKept    = 1000
	offlineRequestsKeptFor = 400 * 24 * time.Hour
)

// offlineRequestRow mirrors the table offline_requests.
type offlineRequestRow struct {
	ID        string
	LicenseID string
	RequestID string
	Request   string
	Sealed    []byte
	MasterKey string
	CreatedAt time.Time
}

// OfflineAnswer implements integration.OfflineStore.
func (s *Store) OfflineAnswer(ctx context.Context, r integration.OfflineRequest) ([]byte, error) {
	return s.offlineAnswer(s.db.Read(ctx), r)
}

func (s *Store) offlineAnswer(tx *gorm.DB, r integration.OfflineRequest) ([]byte, error) {
	var row offlineRequestRow
	err := tx.Table("offline_requests").Where("license_id = ? AND request_id = ?", r.LicenseID, r.ID).Take(&row).Error
	switch {
	case errors.Is(err, db.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, translate(err)
	case row.Request != r.Hash:
		return nil, integration.ErrReused
	}
	return s.keys.Ring.Open(offlineRequestPurpose, row.Sealed, []byte(row.ID))
}

// AnswerOffline implements integration.OfflineStore.
func (s *Store) AnswerOffline(
	ctx context.Context, r integration.OfflineRequest, answer func(ctx context.Context) ([]byte, error),
) (given []byte, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		// Repetitions at the same time wait for each other at the license.
		if _, err := lockLicense(ctx, s.db, tx, r.LicenseID); err != nil {
			return err
		}
		if given, err = s.offlineAnswer(tx, r); err != nil || given != nil {
			return err
		}
		if given, err = answer(ctx); err != nil {
			return err
		}
		return s.keepOfflineAnswer(tx, r, given)
	})
	return given, translate(err)
}

func (s *Store) keepOfflineAnswer(tx *gorm.DB, r integration.OfflineRequest, answer []byte) error {
	const tooMany = `DELETE FROM offline_requests WHERE license_id = ? AND id NOT IN (
		SELECT id FROM offline_requests WHERE license_id = ? ORDER BY created_at DESC, id DESC LIMIT ?)`
	if err := s.keys.Guard(tx); err != nil {
		return err
	}
	id := uuid.Must(uuid.NewV7()).String()
	sealed, err := s.keys.Ring.Seal(offlineRequestPurpose, answer, []byte(id))
	if err != nil {
		return err
	}
	row := offlineRequestRow{
		ID:        id,
		LicenseID: r.LicenseID,
		RequestID: r.ID,
		Request:   r.Hash,
		Sealed:    sealed,
		MasterKey: s.keys.Ring.Name(),
		CreatedAt: s.clock.Now(),
	}
	if err := tx.Table("offline_requests").Create(&row).Error; err != nil {
		return err
	}
	return tx.Exec(tooMany, r.LicenseID, r.LicenseID, offlineRequestsKept).Error
}

// PruneOfflineRequests deletes answers that are too old to be asked for again.
func (s *Store) PruneOfflineRequests(ctx context.Context) error {
	const old = `DELETE FROM offline_requests
		WHERE id IN (SELECT id FROM offline_requests WHERE created_at < ? LIMIT ?)`
	_, err := s.pruneRows(ctx, old, s.clock.Now().Add(-offlineRequestsKeptFor))
	return err
}
