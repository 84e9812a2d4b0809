package store

import (
	"context"
	"fmt"
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

// lateEntries is how long after an erasure entries are looked for that name the customer and no license.
const lateEntries = 30 * 24 * time.Hour

// Erase implements audit.Log. It is noted first, so that no entry slips in between, and may be repeated.
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

// clean cleans the log, a page per transaction, in the order of the entries' ids.
func (s *Store) clean(ctx context.Context, x *audit.Erasure) error {
	const portion = 500
	for last := "00000000-0000-0000-0000-000000000000"; ; {
		var rows []entryRow
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			q := tx.Model(&entryRow{}).Where("audit_id > ?", last).Order("audit_id").Limit(portion)
			if x.LicenseID != "" {
				q = q.Where("license_id = ?", x.LicenseID)
			} else {
				q = q.Where("license_id IS NULL")
			}
			if err := q.Find(&rows).Error; err != nil {
				return err
			}
			return cleanRows(tx, x, rows)
		})
		if err != nil || len(rows) < portion {
			return db.Error(err)
		}
		last = rows[portion-1].AuditID
	}
}

func cleanRows(tx *gorm.DB, x *audit.Erasure, rows []entryRow) error {
	for i := range rows {
		e := rows[i].entry()
		if !x.Clean(&e) {
			continue
		}
		err := tx.Model(&entryRow{}).Where("audit_id = ?", e.ID).
			Updates(map[string]any{"before": db.JSON(e.Before), "after": db.JSON(e.After)}).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// cleanLate takes out of entries what was erased before they arrived.
func cleanLate(tx *gorm.DB, entries []audit.Entry) error {
	var licenses []string
	for i := range entries {
		licenses = append(licenses, entries[i].LicenseID)
	}
	var rows []erasureRow
	err := tx.Table("erasures").Where("license_id IN ? AND (license_id <> '' OR erased_at > ?)",
		licenses, entries[0].OccurredAt.Add(-lateEntries)).Find(&rows).Error
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
