package store

import (
	"cmp"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// rollupRows is what a batch writes to the rollups, except late days, with which what is stored has to be merged first.
type rollupRows struct {
	newLicenses, knownLicenses []licenseRow
	usedLicenses               []usedRow
	newDevices, knownDevices   []deviceRow
	pastDays                   []dayRow
	pastDeviceDays             []deviceDayRow
	lateDeviceDays             []deviceDayRow
	networks                   []networkRow
	fleet                      []fleetRow
	fleetFailures              []fleetFailureRow
	failures                   []licenseFailureRow
}

func newRollupRows(b *usage.Batch) (*rollupRows, error) {
	r, c := &rollupRows{}, b.Changes
	r.addLicenses(c, b.Before)
	if err := r.addDevices(c, b.Before); err != nil {
		return nil, err
	}
	for i := range c.PastDays {
		r.pastDays = append(r.pastDays, newDayRow(&c.PastDays[i]))
	}
	for i := range c.PastDeviceDays {
		r.pastDeviceDays = append(r.pastDeviceDays, newDeviceDayRow(&c.PastDeviceDays[i]))
	}
	for i := range c.LateDeviceDays {
		r.lateDeviceDays = append(r.lateDeviceDays, newDeviceDayRow(&c.LateDeviceDays[i]))
	}
	for k, day := range c.Networks {
		r.networks = append(r.networks, networkRow{k.LicenseID, k.Network, at(day)})
	}
	r.addSums(c)
	return r, nil
}

// addLicenses goes in the order of keys, in which rows find pages of tables and indexes that those before have just
// used.
func (r *rollupRows) addLicenses(c *usage.Changes, before usage.Rollups) {
	for _, id := range slices.Sorted(maps.Keys(c.Licenses)) {
		l, old := c.Licenses[id], before.Licenses[id]
		switch {
		case old == nil:
			r.newLicenses = append(r.newLicenses, newLicenseRow(l))
		case onlyUsed(l, old):
			r.usedLicenses = append(r.usedLicenses, newUsedRow(l))
		default:
			r.knownLicenses = append(r.knownLicenses, newLicenseRow(l))
		}
	}
}

// addDevices goes in the order of keys like addLicenses.
func (r *rollupRows) addDevices(c *usage.Changes, before usage.Rollups) error {
	order := func(a, b usage.DeviceKey) int {
		return cmp.Or(cmp.Compare(a.LicenseID, b.LicenseID), cmp.Compare(a.HardwareID, b.HardwareID))
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.Devices), order) {
		row, err := newDeviceRow(c.Devices[k])
		if err != nil {
			return err
		}
		if before.Devices[k] == nil {
			r.newDevices = append(r.newDevices, row)
		} else {
			r.knownDevices = append(r.knownDevices, row)
		}
	}
	return nil
}

// addSums adds what the database adds up.
func (r *rollupRows) addSums(c *usage.Changes) {
	for b, n := range c.Fleet {
		r.fleet = append(r.fleet, fleetRow{
			Step:          b.Step,
			StartsAt:      at(b.Start),
			Validations:   n.Validations,
			Failures:      n.Failures,
			Activations:   n.Activations,
			Deactivations: n.Deactivations,
			Heartbeats:    n.Heartbeats,
			Events:        n.Events,
		})
	}
	for k, n := range c.Failures {
		if k.LicenseID == "" {
			r.fleetFailures = append(r.fleetFailures, fleetFailureRow{at(k.Start), k.Code, n})
		} else {
			r.failures = append(r.failures, licenseFailureRow{k.LicenseID, at(k.Start), k.Code, n})
		}
	}
}

func (s *Store) writeRollups(tx *gorm.DB, r *rollupRows, late []usage.Day) error {
	lateDays, err := s.mergedDays(tx, late)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		table table
		write func(table, *gorm.DB, db.Engine, any) error
		rows  any
	}{
		{licenseTable, table.insert, r.newLicenses}, {licenseTable, table.update, r.knownLicenses},
		{usedTable, table.update, r.usedLicenses},
		{dayTable, table.insert, r.pastDays}, {dayTable, table.upsert, lateDays},
		{deviceTable, table.insert, r.newDevices}, {deviceTable, table.update, r.knownDevices},
		{deviceDayTable, table.insert, r.pastDeviceDays}, {deviceDayTable, table.upsert, r.lateDeviceDays},
		{networkTable, table.upsert, r.networks}, {fleetTable, table.upsert, r.fleet},
		{fleetFailureTable, table.upsert, r.fleetFailures}, {licenseFailureTable, table.upsert, r.failures},
	} {
		if err := part.write(part.table, tx, s.db.Engine(), part.rows); err != nil {
			return err
		}
	}
	return nil
}

// mergedDays is late days with what is stored of them.
func (s *Store) mergedDays(tx *gorm.DB, late []usage.Day) ([]dayRow, error) {
	keys, stored := make([]dayKey, len(late)), []dayRow{}
	for i := range late {
		keys[i] = dayKey{late[i].LicenseID, at(late[i].Day)}
	}
	if err := dayTable.find(tx, s.db.Engine(), keys, &stored); err != nil {
		return nil, err
	}
	known := map[usage.DayKey]usage.Day{}
	for i := range stored {
		day, err := stored[i].day()
		if err != nil {
			return nil, err
		}
		known[day.DayKey] = day
	}
	merged := make([]dayRow, len(late))
	for i, day := range late { // a copy: the transaction may be repeated
		if before, ok := known[day.DayKey]; ok {
			day.Merge(&before)
		}
		merged[i] = newDayRow(&day)
	}
	return merged, nil
}
