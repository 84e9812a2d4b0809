package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Find implements licensing.Reads.
func (s *Store) Find(ctx context.Context, licenseID string) (licensing.License, error) {
	if !uid.Is(licenseID) {
		return licensing.License{}, licensing.ErrNotFound
	}
	var row licenseRow
	err := s.db.Read(ctx).Table("licenses").Select(licenseColumns).Where("id = ?", licenseID).Take(&row).Error
	return row.license(), translate(err)
}

// FindDevice implements licensing.Reads.
func (s *Store) FindDevice(ctx context.Context, licenseID, hardwareID string) (*licensing.Device, error) {
	found, err := loadDevices(s.db.Read(ctx), licenseID, []string{hardwareID})
	d, known := found[hardwareID]
	if err != nil || !known {
		return nil, translate(err)
	}
	return &d, nil
}

// Devices implements licensing.Reads.
func (s *Store) Devices(
	ctx context.Context, licenseID string, userID *string, span licensing.Span,
) (licensing.Page[licensing.Device], error) {
	if _, err := s.Find(ctx, licenseID); err != nil {
		return licensing.Page[licensing.Device]{}, err
	}
	matching := func() *gorm.DB {
		q := s.db.Read(ctx).Table("devices").Where("license_id = ?", licenseID)
		if userID != nil {
			q = q.Where("user_id = ?", userID)
		}
		return q
	}
	latest := newestFirst("activated_at", func(r *deviceRow) (time.Time, string) { return r.ActivatedAt, r.ID })
	page, err := readCounted(matching, allColumns, span, latest, (*deviceRow).device)
	if err == nil {
		err = s.readFormerIDs(ctx, page.Items)
	}
	return page, translate(err)
}

// SeatsOfUser implements licensing.Reads.
func (s *Store) SeatsOfUser(ctx context.Context, licenseID, userID string) (int, error) {
	var n int64
	err := s.db.Read(ctx).Table("devices").
		Where("license_id = ? AND user_id = ? AND is_active", licenseID, userID).Count(&n).Error
	return int(n), translate(err)
}

// Events implements licensing.Reads.
func (s *Store) Events(
	ctx context.Context, licenseID string, since time.Time, limit, maxBytes int,
) ([]licensing.Event, int, error) {
	if _, err := s.Find(ctx, licenseID); err != nil {
		return nil, 0, err
	}
	logged, total, err := s.outbox.List(ctx, licenseID, since, []string{eventsv1.TypeAuditRecorded}, limit, maxBytes)
	events := make([]licensing.Event, len(logged))
	for i, e := range logged {
		events[i] = licensing.Event{ID: e.ID, Type: e.Type, At: e.Time, Data: e.Data}
	}
	return events, total, translate(err)
}

// NearSeatLimit counts the usable licenses for two devices or more of which all seats are taken, and those of which 9
// of 10 are. It reads every license.
func (s *Store) NearSeatLimit(ctx context.Context, now time.Time) (full, nearly int, err error) {
	var row struct{ Full, Nearly int }
	const counts = `
SELECT count(CASE WHEN current_devices >= max_devices THEN 1 END) AS "full",
	count(CASE WHEN current_devices < max_devices AND current_devices >= 0.9 * max_devices THEN 1 END) AS nearly
FROM licenses WHERE max_devices > 1 AND current_devices > 1 AND ` + usable
	err = s.db.Read(ctx).Raw(counts, sql.Named("now", now)).Scan(&row).Error
	return row.Full, row.Nearly, translate(err)
}

// Count implements licensing.Reads.
func (s *Store) Count(ctx context.Context, now time.Time) (licensing.Counts, error) {
	var row struct {
		Total, Active, InGrace, Inactive, Expired, Suspended, NotStarted, Test, Expiring, Seats int
	}
	counts := `
SELECT count(*) AS total,
	count(CASE WHEN ` + usable + ` THEN 1 END) AS active,
	count(CASE WHEN ` + conditions[licensing.StatusInactive] + ` THEN 1 END) AS inactive,
	count(CASE WHEN ` + conditions[licensing.StatusExpired] + ` THEN 1 END) AS expired,
	count(CASE WHEN ` + conditions[licensing.StatusInGrace] + ` THEN 1 END) AS in_grace,
	count(CASE WHEN ` + conditions[licensing.StatusSuspended] + ` THEN 1 END) AS suspended,
	count(CASE WHEN ` + conditions[licensing.StatusNotStarted] + ` THEN 1 END) AS not_started,
	count(CASE WHEN is_test THEN 1 END) AS test,
	count(CASE WHEN ` + conditions[licensing.StatusActive] + ` AND expires_at <= @in_30_days THEN 1 END) AS expiring,
	coalesce(sum(current_devices), 0) AS seats
FROM licenses`
	err := s.db.Read(ctx).Raw(counts, sql.Named("now", now), sql.Named("in_30_days", now.AddDate(0, 0, 30))).
		Scan(&row).Error
	return licensing.Counts{
		Total:          row.Total,
		Active:         row.Active,
		InGrace:        row.InGrace,
		Inactive:       row.Inactive,
		Expired:        row.Expired,
		Suspended:      row.Suspended,
		NotStarted:     row.NotStarted,
		Test:           row.Test,
		Expiring30Days: row.Expiring,
		ActiveDevices:  row.Seats,
	}, translate(err)
}
