package store

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// License implements usage.Store.
func (s *Store) License(ctx context.Context, id string) (*usage.License, error) {
	var rows []licenseRow
	if err := s.db.Read(ctx).Table("licenses").Where("license_id = ?", id).Find(&rows).Error; err != nil {
		return nil, db.Error(fmt.Errorf("read license: %w", err))
	}
	if len(rows) == 0 {
		return nil, usage.ErrLicenseNotFound
	}
	return rows[0].license(), nil
}

// History implements usage.Store.
func (s *Store) History(ctx context.Context, l *usage.License, w usage.Window) (*usage.History, error) {
	h := &usage.History{License: l, Failures: map[string]int64{}}
	days, err := s.Days(ctx, l.ID, w.From.AddDate(0, 0, -usage.ProfileHistoryDays))
	if err != nil {
		return nil, err
	}
	h.Days = days
	h.Use = usage.NewDeviceUse()
	if err = s.deviceUses(ctx, []string{l.ID}, w, func(_ string, u *usage.DeviceUse) { h.Use = u }); err != nil {
		return nil, err
	}
	var failures []licenseFailureRow
	err = s.db.Read(ctx).Raw(`SELECT error_code, sum(failures) AS failures FROM license_failures
		WHERE license_id = ? AND day >= ? GROUP BY error_code`,
		l.ID, w.From).Scan(&failures).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read failures: %w", err))
	}
	for _, f := range failures {
		h.Failures[f.ErrorCode] = f.Failures
	}
	err = s.db.Read(ctx).Raw(`SELECT count(*) FROM networks WHERE license_id = ? AND last_day >= ?`, l.ID, w.From).
		Scan(&h.Networks).Error
	return h, db.Error(err)
}

// Days implements usage.Store.
func (s *Store) Days(ctx context.Context, licenseID string, from time.Time) ([]usage.Day, error) {
	var rows []dayRow
	err := s.db.Read(ctx).Table("license_days").Where("license_id = ? AND day >= ?", licenseID, from).
		Order("day").Find(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read days: %w", err))
	}
	days := make([]usage.Day, len(rows))
	for i := range rows {
		d, err := rows[i].day()
		if err != nil {
			return nil, err
		}
		days[i] = d
	}
	return days, nil
}

// Devices implements usage.Store.
func (s *Store) Devices(ctx context.Context, licenseID string, each func(*usage.Device)) error {
	tx := s.db.Read(ctx)
	rows, err := tx.Table("devices").Where("license_id = ?", licenseID).Rows()
	if err != nil {
		return db.Error(fmt.Errorf("read devices: %w", err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r deviceRow
		if err := tx.ScanRows(rows, &r); err != nil {
			return db.Error(err)
		}
		d, err := r.device()
		if err != nil {
			return err
		}
		each(d)
	}
	return db.Error(rows.Err())
}

// deviceUses calls each for the licenses whose devices were at work, one after the other. The order is that of the keys
// of both tables: neither engine has to sort, or to hold, what may be millions of rows.
func (s *Store) deviceUses(
	ctx context.Context, licenses []string, w usage.Window, each func(licenseID string, u *usage.DeviceUse),
) error {
	rows, err := s.db.Read(ctx).Raw(`SELECT license_id, day, hardware_id, hours, uses FROM device_days
		WHERE license_id IN ? AND day >= ? AND day <= ? ORDER BY license_id`, licenses, w.From, w.To).Rows()
	if err != nil {
		return db.Error(err)
	}
	defer func() { _ = rows.Close() }()
	var r deviceDayRow
	last, u := "", usage.NewDeviceUse()
	done := func() {
		if last != "" {
			each(last, u)
		}
	}
	for rows.Next() {
		if err := rows.Scan(&r.LicenseID, &r.Day, &r.HardwareID, &r.Hours, &r.Uses); err != nil {
			return db.Error(err)
		}
		if r.LicenseID != last {
			done()
			last, u = r.LicenseID, usage.NewDeviceUse()
		}
		d := r.day()
		u.Add(&d)
	}
	if err := rows.Err(); err != nil {
		return db.Error(err)
	}
	done()
	return nil
}
