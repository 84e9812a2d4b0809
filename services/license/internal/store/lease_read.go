package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Leases implements lease.Store.
func (s *Store) Leases(
	ctx context.Context, licenseID string, span licensing.Span,
) (licensing.Page[lease.Lease], lease.Slots, error) {
	l, err := s.Find(ctx, licenseID)
	if err != nil {
		return licensing.Page[lease.Lease]{}, lease.Slots{}, err
	}
	now := leaseNow(s.db, s.clock)
	live := func() *gorm.DB {
		return s.db.Read(ctx).Table("leases").Where("license_id = @id AND ending = '' AND expires_at > @now",
			sql.Named("id", licenseID), sql.Named("now", now))
	}
	latest := newestFirst("leased_at", func(r *leaseRow) (time.Time, string) { return r.LeasedAt, r.ID })
	page, err := readCounted(live, allColumns, span, latest, func(r *leaseRow) lease.Lease { return *r.lease() })
	slots := lease.Slots{InUse: page.Total}
	if l.Floating != nil {
		slots.Total = l.Floating.Slots
	}
	return page, slots, translate(err)
}

// Leased implements licensing.Reads.
func (s *Store) Leased(ctx context.Context, licenseID, hardwareID string, at time.Time) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Table("leases").
		Where("license_id = ? AND hardware_id = ? AND ending = '' AND expires_at > ?",
			licenseID, hardwareID, instant(s.db, at)).
		Limit(1).Count(&n).Error
	return n > 0, translate(err)
}

// LeasedDevice implements licensing.Lookup.
func (l *Lookup) LeasedDevice(ctx context.Context, licenseID, hardwareID string) (*licensing.ActiveDevice, error) {
	var rows []leaseRow
	err := l.db.Read(ctx).Table("leases").
		Where("license_id = ? AND hardware_id = ? AND ending = '' AND expires_at > ?",
			licenseID, hardwareID, leaseNow(l.db, l.clock)).
		Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, translate(err)
	}
	d := &licensing.ActiveDevice{Profile: licensing.Profile{Name: rows[0].DeviceName}}
	d.ID, _ = uid.Bytes(rows[0].ID) // made by newID
	return d, nil
}
