package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// errTried ends a transaction of which nothing is to stay.
var errTried = errors.New("this was only tried")

// Import implements licenseimport.Store.
func (s *Store) Import(ctx context.Context, keep bool, fn func(ctx context.Context) error) error {
	err := s.db.InUnit(ctx, fn, func(context.Context, *gorm.DB) error {
		if keep {
			return nil
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return db.Error(err)
}

// importedDeviceRow is what is known of a device that comes with its license; other columns have their defaults.
type importedDeviceRow struct {
	ID, LicenseID, HardwareID string
	Name                      string
	OsName, OsVersion         string
	AppVersion                string
	IsActive                  bool
	ActivatedAt               time.Time
	ActivatedVersion          int
	LastSeenAt                *time.Time
	DeactivatedAt             *time.Time
	UserID                    *string
}

// createDevices inserts devices of a license that nobody else knows yet.
func createDevices(tx *gorm.DB, devices []licensing.Device) error {
	rows := make([]importedDeviceRow, len(devices))
	for i := range devices {
		d := &devices[i]
		rows[i] = importedDeviceRow{
			ID:               d.ID,
			LicenseID:        d.LicenseID,
			HardwareID:       d.HardwareID,
			Name:             d.Name,
			IsActive:         d.IsActive,
			ActivatedAt:      d.ActivatedAt,
			ActivatedVersion: d.ActivatedVersion,
			LastSeenAt:       nullable(d.LastSeenAt),
			DeactivatedAt:    nullable(d.DeactivatedAt),
			UserID:           textOrNull(d.UserID),
		}
	}
	return db.Upsert(tx, "devices", rows, "id")
}
