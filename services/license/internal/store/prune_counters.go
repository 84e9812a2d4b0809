package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

// historyKept is how long the history of a counter is remembered.
const historyKept = 2 * 365 * 24 * time.Hour

const (
	pruneOperations = `
DELETE FROM counter_operations WHERE (license_id, operation_id) IN (
	SELECT license_id, operation_id FROM counter_operations WHERE created_at < ? LIMIT ?)`
	pruneHistory = `DELETE FROM counter_history WHERE id IN (SELECT id FROM counter_history WHERE at < ? LIMIT ?)`
	pruneParts   = `
DELETE FROM counter_devices WHERE (license_id, hardware_id, counter) IN (
	SELECT d.license_id, d.hardware_id, d.counter FROM counter_devices d
	JOIN counters c ON c.license_id = d.license_id AND c.name = d.counter WHERE d.period < c.period LIMIT ?)`
	// A device is known by its row, or by a lease where it needs no seat. The leases of a license are read once, and
	// not for each device: no index has those of one device that ended. The counter keeps the sum.
	pruneForgotten = `
WITH gone AS (
	SELECT license_id, hardware_id FROM counter_devices p WHERE
		NOT EXISTS (SELECT 1 FROM devices d WHERE d.license_id = p.license_id AND d.hardware_id = p.hardware_id)
), forgotten AS (
	SELECT license_id, hardware_id FROM gone EXCEPT
	SELECT license_id, hardware_id FROM leases WHERE license_id IN (SELECT license_id FROM gone) AND ending = '' EXCEPT
	SELECT license_id, hardware_id FROM leases WHERE license_id IN (SELECT license_id FROM gone) AND ending <> ''
)
DELETE FROM counter_devices WHERE (license_id, hardware_id, counter) IN (
	SELECT p.license_id, p.hardware_id, p.counter FROM counter_devices p
	JOIN forgotten f ON f.license_id = p.license_id AND f.hardware_id = p.hardware_id LIMIT ?)`
)

// PruneCounters deletes, in small batches, operations and history whose time is over, and parts of devices from earlier
// periods and of devices that are forgotten.
func (s *Store) PruneCounters(ctx context.Context) error {
	now := s.clock.Now()
	err := s.pruneBatches(ctx, pruneOperations, now.Add(-counter.OperationRetention), pruneBatch)
	if err == nil {
		err = s.pruneBatches(ctx, pruneHistory, now.Add(-historyKept), pruneBatch)
	}
	if err == nil {
		err = s.pruneBatches(ctx, pruneParts, pruneBatch)
	}
	if err == nil {
		err = s.pruneBatches(ctx, pruneForgotten, pruneBatch)
	}
	return err
}

// pruneBatches repeats a statement, in a transaction each, until it deletes less than a whole batch.
func (s *Store) pruneBatches(ctx context.Context, statement string, values ...any) error {
	for {
		var n int64
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			res := tx.Exec(statement, values...)
			n = res.RowsAffected
			return res.Error
		})
		if err != nil || n < pruneBatch {
			return translate(err)
		}
	}
}
