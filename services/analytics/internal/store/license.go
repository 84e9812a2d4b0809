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
	if h.Devices, err = s.devices(ctx, l.ID); err != nil {
		return nil, err
	}
	if h.DeviceDays, err = s.deviceDays(ctx, []string{l.ID}, w.From); err != nil {
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

func (s *Store) devices(ctx context.Context, licenseID string) ([]usage.Device, error) {
	var rows []deviceRow
	err := s.db.Read(ctx).Table("devices").Where("license_id = ?", licenseID).Order("hardware_id").
		Find(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read devices: %w", err))
	}
	devices := make([]usage.Device, len(rows))
	for i := range rows {
		d, err := rows[i].device()
		if err != nil {
			return nil, err
		}
		devices[i] = *d
	}
	return devices, nil
}

func (s *Store) deviceDays(ctx context.Context, licenses []string, from time.Time) ([]usage.DeviceDay, error) {
	var rows []deviceDayRow
	err := s.db.Read(ctx).Table("device_days").Where("license_id IN ? AND day >= ?", licenses, from).
		Order("license_id, day, hardware_id").Find(&rows).Error
	days := make([]usage.DeviceDay, len(rows))
	for i, r := range rows {
		days[i] = r.day()
	}
	return days, db.Error(err)
}
