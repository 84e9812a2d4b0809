package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

// reportRow mirrors the table usage_reports.
type reportRow struct {
	LicenseID  string
	DeviceID   string
	ReportID   string
	Digest     string
	Answer     counter.Reported `gorm:"serializer:json"`
	ReceivedAt time.Time
	KeptUntil  time.Time
}

func newReportRow(licenseID string, key counter.ReportKey, r *counter.KeptReport) reportRow {
	return reportRow{
		LicenseID:  licenseID,
		DeviceID:   key.DeviceID,
		ReportID:   key.ReportID,
		Digest:     r.Digest,
		Answer:     r.Answer,
		ReceivedAt: r.Answer.ReceivedAt,
		KeptUntil:  r.KeptUntil,
	}
}

// loadReports loads the reports that changes name, and how many are kept of the devices that send them.
func (held ledgers) loadReports(tx *gorm.DB, changes []counterChange) error {
	q, any := held.either(tx, "report_id", changes, func(c counterChange) string { return c.ReportID })
	if !any {
		return nil
	}
	var rows []reportRow
	if err := tx.Table("usage_reports").Where(q).Find(&rows).Error; err != nil {
		return err
	}
	for _, r := range rows {
		l, key := held[r.LicenseID], counter.ReportKey{DeviceID: r.DeviceID, ReportID: r.ReportID}
		l.reports[key] = &counter.KeptReport{Digest: r.Digest, Answer: r.Answer, KeptUntil: r.KeptUntil.UTC()}
		l.Reports[key] = l.reports[key]
	}
	return held.countReports(tx, changes)
}

func (held ledgers) countReports(tx *gorm.DB, changes []counterChange) error {
	for _, c := range changes {
		l := held[c.LicenseID]
		if c.ReportID == "" || l == nil || l.Devices[c.HardwareID] == nil {
			continue
		}
		id, n := l.Devices[c.HardwareID].ID, int64(0)
		if err := tx.Table("usage_reports").Where("device_id = ?", id).Count(&n).Error; err != nil {
			return err
		}
		l.ReportsKept[id] = int(n)
	}
	return nil
}

const pruneReports = `
DELETE FROM usage_reports WHERE (license_id, device_id, report_id) IN (
	SELECT license_id, device_id, report_id FROM usage_reports WHERE kept_until < ? LIMIT ?)`

// PruneReports deletes, in small batches, the usage reports that are too old to come again.
func (s *Store) PruneReports(ctx context.Context) error {
	return s.pruneBatches(ctx, pruneReports, s.clock.Now(), pruneBatch)
}
