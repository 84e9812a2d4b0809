package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

const (
	// devicesKept is how many devices without a seat each license remembers, so that no client can fill the table.
	devicesKept = 1000
	// devicesKeptFor is how long a device without a seat is remembered.
	devicesKeptFor = 365 * 24 * time.Hour
	pruneBatch     = 500
)

// The outer condition is looked at again once a row is locked: a device that has come back meanwhile stays.
const pruneDevices = `
DELETE FROM devices WHERE NOT is_active AND id IN (
	SELECT id FROM (
		SELECT id, deactivated_at, offline_until, offline_horizon,
			row_number() OVER (PARTITION BY license_id ORDER BY deactivated_at DESC, id DESC) AS place
		FROM devices WHERE NOT is_active
	) AS gone
	WHERE (place > ? OR deactivated_at < ?) AND (offline_horizon IS NULL OR offline_horizon < ?)
		AND (offline_until IS NULL OR offline_until < ?) LIMIT ?)`

// PruneDevices deletes, in small batches, devices that left their seats more than a year ago, and of each license all
// but the thousand that left last. Those that may still run offline stay. It returns how many those were.
func (s *Store) PruneDevices(ctx context.Context) (int, error) {
	now := s.clock.Now()
	return s.pruneRows(ctx, pruneDevices, devicesKept, now.Add(-devicesKeptFor), now, now)
}

// pruneRows repeats a statement, whose last parameter is how many rows it may delete, until there are no more.
func (s *Store) pruneRows(ctx context.Context, statement string, params ...any) (total int, err error) {
	params = append(params, pruneBatch)
	for {
		var n int
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			res := tx.Exec(statement, params...)
			n = int(res.RowsAffected)
			return res.Error
		})
		if total += n; err != nil || n < pruneBatch {
			return total, translate(err)
		}
	}
}
