package store

import (
	"context"
	"database/sql"

	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Leases implements lease.Store.
func (s *Store) Leases(ctx context.Context, licenseID string, page, perPage int) ([]lease.Lease, lease.Slots, error) {
	l, err := s.Find(ctx, licenseID)
	if err != nil {
		return nil, lease.Slots{}, err
	}
	const live = `license_id = @id AND ending = '' AND expires_at > @now`
	named := []any{sql.Named("id", licenseID), sql.Named("now", leaseNow(s.db, s.clock))}
	var total int64
	if err := s.db.Read(ctx).Table("leases").Where(live, named...).Count(&total).Error; err != nil {
		return nil, lease.Slots{}, translate(err)
	}
	var rows []leaseRow
	err = s.db.Read(ctx).Table("leases").Where(live, named...).Order("leased_at DESC, id DESC").
		Limit(perPage).Offset((page - 1) * perPage).Find(&rows).Error
	leases := make([]lease.Lease, len(rows))
	for i := range rows {
		leases[i] = *rows[i].lease()
	}
	slots := lease.Slots{InUse: int(total)}
	if l.Floating != nil {
		slots.Total = l.Floating.Slots
	}
	return leases, slots, translate(err)
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
	return &licensing.ActiveDevice{ID: rows[0].ID, Profile: licensing.Profile{Name: rows[0].DeviceName}}, nil
}
