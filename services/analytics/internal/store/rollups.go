package store

import (
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// addUp merges changes into the rollups; those of licenses, days and devices are whole rows afterwards. Plain sums are added by
// the database; rows with rules of their own are read, merged and written back, which the lock of the consumer's row makes safe.
func (s *Store) addUp(tx *gorm.DB, c *usage.Changes) error {
	if err := s.addSums(tx, c); err != nil {
		return err
	}
	if err := dayRollup.merge(tx, s.db.Engine(), s.recent.days, c.Days); err != nil {
		return err
	}
	if err := deviceRollup.merge(tx, s.db.Engine(), s.recent.devices, c.Devices); err != nil {
		return err
	}
	return licenseRollup.merge(tx, s.db.Engine(), s.recent.licenses, c.Licenses)
}

func (s *Store) addSums(tx *gorm.DB, c *usage.Changes) error {
	var fleet []fleetRow
	for b, n := range c.Fleet {
		fleet = append(fleet, fleetRow{b.Step, at(b.Start), n.Validations, n.Failures, n.Activations, n.Deactivations, n.Heartbeats, n.Events})
	}
	var failures []licenseFailureRow
	var fleetFailures []fleetFailureRow
	for k, n := range c.Failures {
		if k.LicenseID == "" {
			fleetFailures = append(fleetFailures, fleetFailureRow{at(k.Start), k.Code, n})
		} else {
			failures = append(failures, licenseFailureRow{k.LicenseID, at(k.Start), k.Code, n})
		}
	}
	var days []deviceDayRow
	for k, d := range c.DeviceDays {
		days = append(days, deviceDayRow{k.LicenseID, at(k.Day), k.HardwareID, d.Hours, d.Uses})
	}
	var networks []networkRow
	for k, n := range c.Networks {
		networks = append(networks, networkRow{k.LicenseID, k.Network, at(n.FirstSeen), at(n.LastSeen), n.Uses})
	}
	for _, part := range []struct {
		table table
		rows  any
	}{{fleetTable, fleet}, {fleetFailureTable, fleetFailures}, {licenseFailureTable, failures}, {deviceDayTable, days}, {networkTable, networks}} {
		if err := part.table.upsert(tx, s.db.Engine(), part.rows); err != nil {
			return err
		}
	}
	return nil
}

// rollup is a table whose rows R are values V under keys K, which merge by rules of their own; KR is a row of the key's columns.
type rollup[K comparable, V interface{ Merge(V) }, KR, R any] struct {
	table table
	key   func(K) KR
	row   func(V) (R, error)
	value func(*R) (K, V, error)
}

var (
	dayRollup = rollup[usage.DayKey, *usage.Day, dayKey, dayRow]{dayTable,
		func(k usage.DayKey) dayKey { return dayKey{k.LicenseID, at(k.Day)} }, newDayRow,
		func(r *dayRow) (k usage.DayKey, d *usage.Day, err error) { d, err = r.day(); return d.DayKey, d, err }}
	deviceRollup = rollup[usage.DeviceKey, *usage.Device, deviceKey, deviceRow]{deviceTable,
		func(k usage.DeviceKey) deviceKey { return deviceKey(k) }, newDeviceRow,
		func(r *deviceRow) (k usage.DeviceKey, d *usage.Device, err error) {
			d, err = r.device()
			return d.DeviceKey, d, err
		}}
	licenseRollup = rollup[string, *usage.License, licenseKey, licenseRow]{licenseTable,
		func(id string) licenseKey { return licenseKey{id} },
		func(l *usage.License) (licenseRow, error) { return newLicenseRow(l), nil },
		func(r *licenseRow) (string, *usage.License, error) { return r.LicenseID, r.license(), nil }}
)

// merge adds to the changes what is known of them, from memory or else from the database, and writes the sum.
func (r *rollup[K, V, KR, R]) merge(tx *gorm.DB, engine db.Engine, known, changes map[K]V) error {
	var missing []KR
	for k, v := range changes {
		if old, ok := known[k]; ok {
			v.Merge(old)
			continue
		}
		missing = append(missing, r.key(k))
	}
	if err := r.mergeStored(tx, engine, missing, changes); err != nil {
		return err
	}
	rows := make([]R, 0, len(changes))
	for _, v := range changes {
		row, err := r.row(v)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return r.table.upsert(tx, engine, rows)
}

func (r *rollup[K, V, KR, R]) mergeStored(tx *gorm.DB, engine db.Engine, keys []KR, changes map[K]V) error {
	var stored []R
	if err := r.table.find(tx, engine, keys, &stored); err != nil {
		return err
	}
	for i := range stored {
		k, old, err := r.value(&stored[i])
		if err != nil {
			return err
		}
		changes[k].Merge(old)
	}
	return nil
}
