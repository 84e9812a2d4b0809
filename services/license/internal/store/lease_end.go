package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// dueLeases are those that have expired and are not noted yet. Licenses that others hold are passed over until the
// next time.
const dueLeases = `ending = '' AND expires_at <= ?`

// ExpireLeases implements lease.Store.
func (s *Store) ExpireLeases(ctx context.Context, limit int) (n int, now time.Time, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if now, err = s.leaseTime(tx); err != nil {
			return err
		}
		var due []leaseRow
		err = tx.Table("leases").Where(dueLeases, now).Order("expires_at").Limit(limit).Find(&due).Error
		if err != nil || len(due) == 0 {
			return err
		}
		n, err = s.expireLeases(ctx, tx, due, now)
		return err
	})
	return n, now, translate(err)
}

// RestartLeases implements lease.Store.
func (s *Store) RestartLeases(ctx context.Context, limit int) (n int, err error) {
	const ahead = "ending = '' AND borrowed_until IS NULL AND last_seen_at > ?"
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		now, err := s.leaseTime(tx)
		if err != nil {
			return err
		}
		var rows []leaseRow
		err = s.db.Lock(tx).Table("leases").Where(ahead, now).Order("id").Limit(limit).Find(&rows).Error
		if n = len(rows); err != nil || n == 0 {
			return err
		}
		for i := range rows {
			l := rows[i].lease()
			l.Restart(now)
			rows[i] = newLeaseRow(l)
		}
		return s.writeLeases(overwriteLeases, rows)(tx).Error
	})
	return n, translate(err)
}

// expireLeases notes the leases of the licenses that it can lock, and reads them once more then.
func (s *Store) expireLeases(ctx context.Context, tx *gorm.DB, due []leaseRow, now time.Time) (int, error) {
	batch, ids := make([]leaseRequest, len(due)), make([]string, len(due))
	for i := range due {
		batch[i].LicenseID, ids[i] = due[i].LicenseID, due[i].ID
	}
	var licenses []licenseRow
	if err := licensesOf(batch, &licenses, s.leaseLock(true))(tx).Error; err != nil {
		return 0, err
	}
	locked := make(map[string]*licensing.License, len(licenses))
	for i := range licenses {
		l := licenses[i].license()
		locked[l.ID] = &l
	}
	var rows []leaseRow
	if err := tx.Table("leases").Where(db.In("id", ids)).Where(dueLeases, now).Find(&rows).Error; err != nil {
		return 0, err
	}
	var events []event.Event
	var noted []string
	for i := range rows {
		license := locked[rows[i].LicenseID]
		if license == nil {
			continue
		}
		e, err := event.New(licensing.Source, rows[i].LicenseID, now, rows[i].lease().Expire(license, now))
		if err != nil {
			return 0, err
		}
		events, noted = append(events, e), append(noted, rows[i].ID)
	}
	if len(noted) == 0 {
		return 0, nil
	}
	err := tx.Exec(`UPDATE leases SET ending = ?, ended_at = expires_at WHERE id IN ?`, lease.Expired, noted).Error
	if err != nil {
		return 0, err
	}
	return len(noted), s.outbox.AddAll(ctx, tx, events)
}

// leaving are the devices that leave their seats in a change, by their ids.
func leaving(known map[string]licensing.Device, ch *licensing.Change) map[string]*licensing.Device {
	left := map[string]*licensing.Device{}
	for _, d := range ch.Devices {
		if d.IsActive {
			continue
		}
		if before, _ := readBefore(known, d); before.IsActive {
			left[d.ID] = d
		}
	}
	return left
}

// borrowedBy finds until when devices may do without the server by what they borrowed, under each hardware id.
const borrowedBy = `SELECT d.id AS device_id, l.hardware_id, max(l.borrowed_until) AS until
	FROM leases l JOIN devices d ON d.license_id = l.license_id AND (d.hardware_id = l.hardware_id
		OR d.id IN (SELECT device_id FROM ` + formerIDs + `
			WHERE license_id = l.license_id AND hardware_id = l.hardware_id))
	WHERE l.license_id = @license AND l.borrowed_until > @now AND d.id IN @left GROUP BY d.id, l.hardware_id`

// keepBorrowed has revocation lists name the devices that leave their seats for what they borrowed. It comes before
// devices are written, and before leaveSeats forgets what was borrowed.
func (s *Store) keepBorrowed(tx *gorm.DB, left map[string]*licensing.Device, ch *licensing.Change) error {
	if len(left) == 0 {
		return nil
	}
	var borrowed []struct {
		DeviceID, HardwareID string
		Until                db.Time
	}
	err := tx.Raw(borrowedBy, sql.Named("license", ch.License.ID), sql.Named("now", leaseNow(s.db, s.clock)),
		sql.Named("left", slices.Collect(maps.Keys(left)))).Scan(&borrowed).Error
	if err != nil || len(borrowed) == 0 {
		return err
	}
	now, err := s.leaseTime(tx)
	for _, b := range borrowed {
		if err == nil {
			err = ch.GoesOn(left[b.DeviceID], b.HardwareID, b.Until.Time, now)
		}
	}
	return err
}

// leaveSeats ends the leases of the devices that leave their seats in a change.
func (s *Store) leaveSeats(tx *gorm.DB, devices map[string]*licensing.Device, ch *licensing.Change) error {
	var left []string
	for _, d := range devices {
		left = append(left, d.HardwareID)
	}
	if len(left) == 0 {
		return nil
	}
	now, err := s.leaseTime(tx)
	if err != nil {
		return err
	}
	var rows []leaseRow
	err = tx.Table("leases").Where("license_id = ? AND hardware_id IN ? AND ending = '' AND expires_at > ?",
		ch.License.ID, left, now).Find(&rows).Error
	for i := range rows {
		l := rows[i].lease()
		ch.Emit(l.LeaveSeat(&ch.License, now))
		rows[i] = newLeaseRow(l)
	}
	if err == nil && len(rows) > 0 {
		err = s.writeLeases(overwriteLeases, rows)(tx).Error
	}
	if err != nil || ch.BorrowsGoOn {
		return err
	}
	return tx.Exec(`UPDATE leases SET borrowed_until = NULL
		WHERE license_id = ? AND hardware_id IN ? AND ending <> '' AND borrowed_until IS NOT NULL`,
		ch.License.ID, left).Error
}

// renameHolder gives a device that is called by another hardware id its leases. One for a session that has a lease
// under that id as well stays, and ends by itself, as does what is borrowed: its token is for the previous id.
func (s *Store) renameHolder(tx *gorm.DB, licenseID, from, to string) error {
	now, err := s.leaseTime(tx)
	if err != nil {
		return err
	}
	return tx.Exec(`UPDATE leases SET hardware_id = @to
		WHERE license_id = @license AND hardware_id = @from AND ending = ''
		AND (borrowed_until IS NULL OR borrowed_until <= @now)
		AND session_id NOT IN (
			SELECT session_id FROM leases WHERE license_id = @license AND hardware_id = @to AND ending = '')`,
		sql.Named("license", licenseID), sql.Named("from", from), sql.Named("to", to),
		sql.Named("now", now)).Error
}

const (
	// leasesKept is how many ended leases each license remembers.
	leasesKept = 1000
	// leasesKeptFor is how long an ended lease is remembered, for the client that asks what became of it.
	leasesKeptFor = 7 * 24 * time.Hour
)

// What a session of a device borrowed for longest, of each entitlement, stays until its end, because it counts.
const pruneLeases = `
DELETE FROM leases WHERE ending <> '' AND id IN (
	SELECT id FROM (
		SELECT id, ended_at, borrowed_until,
			row_number() OVER (PARTITION BY license_id ORDER BY ended_at DESC, id DESC) AS place,
			row_number() OVER (PARTITION BY license_id, hardware_id, session_id, entitlement
				ORDER BY borrowed_until IS NULL, borrowed_until DESC, id DESC) AS borrowing
		FROM leases WHERE ending <> ''
	) AS ended
	WHERE (place > ? OR ended_at < ?) AND (borrowed_until IS NULL OR borrowed_until <= ? OR borrowing > 1) LIMIT ?)`

// PruneLeases deletes, in small batches, leases that ended more than a week ago, and of each license all but the
// thousand that ended last. It returns how many those were.
func (s *Store) PruneLeases(ctx context.Context) (int, error) {
	now := s.clock.Now()
	return s.pruneRows(ctx, pruneLeases, leasesKept, now.Add(-leasesKeptFor), now)
}
