package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// revocationsKept is for how long the list remembers who left it.
const revocationsKept = 90 * 24 * time.Hour

type revocationRow struct {
	LicenseID  string
	HardwareID string
	Reason     string
	Revoked    bool
	Number     int
	ChangedAt  time.Time
}

type revocationKey struct{ licenseID, hardwareID string }

func (r *revocationRow) key() revocationKey { return revocationKey{r.LicenseID, r.HardwareID} }

// revoked finds whom the list has to name: licenses of which somebody may still have something for use without the
// server, and such devices that have no seat, by the hardware ids for which they have it. UNION names each once.
const revoked = `
SELECT id AS license_id, '' AS hardware_id, CASE WHEN is_active THEN 'suspended' ELSE 'deactivated' END AS reason
FROM licenses
WHERE offline_horizon > @now AND (NOT is_active
OR (suspended_at IS NOT NULL AND (suspended_until IS NULL OR suspended_until > @now)))
UNION
SELECT license_id, coalesce(offline_hardware_id, hardware_id), 'device_deactivated' FROM devices
WHERE NOT is_active AND offline_horizon > @now`

// Revocations implements licensefile.RevocationStore.
func (s *Store) Revocations(ctx context.Context, now time.Time) (int, int, []licensefile.Revocation, error) {
	list, err := readRevocations(s.db.Read(ctx), now)
	if err != nil {
		return 0, 0, nil, translate(err)
	}
	// While the database takes no changes, the list is the one that was given out last.
	if len(list.changes(now)) > 0 && !s.db.ReadOnly() {
		err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			// The row of the list is locked, so that a number is given out once.
			if err := s.db.Lock(tx).Table("revocation_list").Where("id = 1").
				Take(&struct{ ID int }{}).Error; err != nil {
				return err
			}
			if list, err = readRevocations(tx, now); err != nil {
				return err
			}
			return list.update(tx, now)
		})
		if err != nil {
			return 0, 0, nil, translate(err)
		}
	}
	entries := make([]licensefile.Revocation, 0, len(list.known))
	for _, row := range list.known {
		entries = append(entries, licensefile.Revocation{
			LicenseID: row.LicenseID, HardwareID: row.HardwareID, Reason: row.Reason, Revoked: row.Revoked,
			Number:    row.Number,
			ChangedAt: row.ChangedAt.UTC(),
		})
	}
	return list.Number, list.Pruned, entries, nil
}

// revocationList is the stored list, and whom it should name.
type revocationList struct {
	Number, Pruned int
	known          []revocationRow
	wanted         []revocationRow
}

func readRevocations(tx *gorm.DB, now time.Time) (*revocationList, error) {
	list := &revocationList{}
	if err := tx.Table("revocation_list").Where("id = 1").Take(list).Error; err != nil {
		return nil, err
	}
	if err := tx.Table("revocations").Order("number, license_id, hardware_id").Find(&list.known).Error; err != nil {
		return nil, err
	}
	return list, tx.Raw(revoked, sql.Named("now", now)).Scan(&list.wanted).Error
}

// next is the number of the next list. It is the time in seconds, so that it is above all that were given out before,
// also after the database was restored from a backup, which knows only the earlier ones.
func (l *revocationList) next(now time.Time) int { return max(l.Number+1, int(now.Unix())) }

// changes are the rows that have to be written for the list to name whom it should.
func (l *revocationList) changes(now time.Time) []revocationRow {
	known, wanted := map[revocationKey]revocationRow{}, map[revocationKey]bool{}
	for _, row := range l.known {
		known[row.key()] = row
	}
	var changes []revocationRow
	change := func(row revocationRow, revoked bool) {
		row.Revoked, row.Number, row.ChangedAt = revoked, l.next(now), now
		changes = append(changes, row)
	}
	for _, row := range l.wanted {
		wanted[row.key()] = true
		if is, ok := known[row.key()]; !ok || !is.Revoked || is.Reason != row.Reason {
			change(row, true)
		}
	}
	for _, row := range l.known {
		if row.Revoked && !wanted[row.key()] {
			change(row, false)
		}
	}
	return changes
}

// update writes what has changed, under the next number.
func (l *revocationList) update(tx *gorm.DB, now time.Time) error {
	changes := l.changes(now)
	if len(changes) == 0 {
		return nil // another process was faster
	}
	err := tx.Table("revocations").Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "license_id"}, {Name: "hardware_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"reason", "revoked", "number", "changed_at"}),
	}).CreateInBatches(&changes, 500).Error
	if err != nil {
		return err
	}
	l.Number = l.next(now)
	if err := tx.Table("revocation_list").Where("id = 1").Update("number", l.Number).Error; err != nil {
		return err
	}
	l.known = nil
	return tx.Table("revocations").Order("number, license_id, hardware_id").Find(&l.known).Error
}

// PruneRevocations forgets those who left the list long ago. Who asks for changes since then gets the whole list.
func (s *Store) PruneRevocations(ctx context.Context) error {
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		old := tx.Table("revocations").Where("revoked = false AND changed_at < ?", s.clock.Now().Add(-revocationsKept))
		var last *int
		if err := old.Session(&gorm.Session{}).Select("max(number)").Scan(&last).Error; err != nil || last == nil {
			return err
		}
		err := tx.Table("revocation_list").Where("id = 1 AND pruned < ?", *last).Update("pruned", *last).Error
		if err != nil {
			return err
		}
		return old.Session(&gorm.Session{}).Delete(&revocationRow{}).Error
	}))
}

// holdOffline notes until when somebody may use a license without the server; a zero horizon is nothing new.
func holdOffline(tx *gorm.DB, licenseID string, horizon time.Time) error {
	if horizon.IsZero() {
		return nil
	}
	return tx.Table("licenses").Where("id = ? AND (offline_horizon IS NULL OR offline_horizon < ?)",
		licenseID, horizon).
		UpdateColumn("offline_horizon", horizon).Error
}

// holdDevice notes with a device, if it has a seat, until when it may do without the server by what it borrowed; what
// it got under another hardware id stays. One without a seat left it before, or needs none: lists do not name it then.
func holdDevice(tx *gorm.DB, l *lease.Lease, now time.Time) error {
	return tx.Table("devices").Where("license_id = ? AND hardware_id = ? AND is_active", l.LicenseID, l.HardwareID).
		Where("offline_horizon IS NULL OR offline_horizon < ?", l.BorrowedUntil).
		Where("offline_hardware_id IS NULL OR offline_horizon <= ?", now).
		UpdateColumns(map[string]any{"offline_horizon": l.BorrowedUntil, "offline_hardware_id": nil}).Error
}
