package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

type erasureRow struct {
	LicenseID  string
	Previous   string
	Salt       string
	CustomerID string
	ErasedAt   time.Time
	Had        bool
}

func (r *erasureRow) erasure() audit.Erasure {
	return audit.Erasure{LicenseID: r.LicenseID, Had: r.Had, Rule: erasure.Rule{
		CustomerID: r.CustomerID, Salt: r.Salt, Previous: r.Previous, At: r.ErasedAt.UTC(),
	}}
}

// Erase implements audit.Log. It is noted first: entries that are appended later see the note, and those before are
// here to be cleaned (see awaitNotes). It may be repeated.
func (s *Store) Erase(ctx context.Context, x audit.Erasure) error {
	row := erasureRow{x.LicenseID, x.Previous, x.Salt, x.CustomerID, x.At, x.Had}
	err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("erasures").Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "license_id"}, {Name: "previous"}},
			DoUpdates: clause.AssignmentColumns([]string{"customer_id", "erased_at", "had"}),
		}).Create(&row).Error
	})
	if err != nil {
		return db.Error(fmt.Errorf("note an erasure: %w", err))
	}
	return s.clean(ctx, &x)
}

// clean cleans the log.
func (s *Store) clean(ctx context.Context, x *audit.Erasure) error {
	entries := db.Edit[entryRow]{
		Rows:  `SELECT ` + entryColumns + ` FROM audit_entries WHERE license_id IS NULL`,
		Page:  500,
		Key:   "audit_id",
		KeyOf: func(r *entryRow) any { return r.AuditID },
		Change: func(r *entryRow) (bool, error) {
			e := r.entry()
			changed := x.Clean(&e)
			r.Before, r.After = db.JSON(e.Before), db.JSON(e.After)
			return changed, nil
		},
		Store: func(tx *gorm.DB, r *entryRow) error {
			return tx.Model(&entryRow{}).Where("audit_id = ?", r.AuditID).
				Updates(map[string]any{"before": r.Before, "after": r.After}).Error
		},
	}
	if x.LicenseID != "" {
		entries.Rows = `SELECT ` + entryColumns + ` FROM audit_entries WHERE license_id = ?`
		entries.Args = []any{x.LicenseID}
	}
	return entries.Run(ctx, s.db)
}

// awaitNotes has a transaction wait for erasures that are being noted, and those wait for its end: what it appends
// either sees the note, or is seen by what cleans the log afterwards. SQLite has one writer at a time.
func (s *Store) awaitNotes(tx *gorm.DB) error {
	if s.db.Engine() == db.SQLite {
		return nil
	}
	return tx.Exec("LOCK TABLE erasures IN SHARE MODE").Error
}

// cleanLate takes out of entries what was erased before they arrived.
func cleanLate(tx *gorm.DB, entries []audit.Entry) error {
	var licenses []string
	for i := range entries {
		if id := entries[i].LicenseID; id != "" {
			licenses = append(licenses, id)
		}
	}
	oldest := slices.MinFunc(entries, func(a, b audit.Entry) int { return a.OccurredAt.Compare(b.OccurredAt) })
	var rows []erasureRow
	err := tx.Table("erasures").Where("license_id IN ? OR license_id = '' AND erased_at >= ?",
		licenses, oldest.OccurredAt.Add(-erasure.Slack)).Find(&rows).Error
	for i := range rows {
		x := rows[i].erasure()
		for j := range entries {
			if entries[j].LicenseID == x.LicenseID {
				x.Clean(&entries[j])
			}
		}
	}
	return err
}
