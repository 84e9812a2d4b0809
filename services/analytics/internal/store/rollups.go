package store

import (
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// addUp merges changes into the rollups and returns the licenses as they are then. Plain sums are added by the database; rows
// with rules of their own are read, merged and written back, which the lock of the consumer's row makes safe.
func (s *Store) addUp(tx *gorm.DB, c *usage.Changes) (map[string]*usage.License, error) {
	if err := s.addSums(tx, c); err != nil {
		return nil, err
	}
	if err := s.mergeDays(tx, c.Days); err != nil {
		return nil, err
	}
	if err := s.mergeDevices(tx, c.Devices); err != nil {
		return nil, err
	}
	return s.mergeLicenses(tx, c.Licenses)
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

func (s *Store) mergeDays(tx *gorm.DB, days map[usage.DayKey]*usage.Day) error {
	keys := make([]dayKey, 0, len(days))
	for k := range days {
		keys = append(keys, dayKey{k.LicenseID, at(k.Day)})
	}
	var known []dayRow
	if err := dayTable.find(tx, s.db.Engine(), keys, &known); err != nil {
		return err
	}
	for i := range known {
		old, err := known[i].day()
		if err != nil {
			return err
		}
		days[old.DayKey].Merge(old)
	}
	rows := make([]dayRow, 0, len(days))
	for _, d := range days {
		row, err := newDayRow(d)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return dayTable.upsert(tx, s.db.Engine(), rows)
}

func (s *Store) mergeDevices(tx *gorm.DB, devices map[usage.DeviceKey]*usage.Device) error {
	keys := make([]deviceKey, 0, len(devices))
	for k := range devices {
		keys = append(keys, deviceKey(k))
	}
	var known []deviceRow
	if err := deviceTable.find(tx, s.db.Engine(), keys, &known); err != nil {
		return err
	}
	for i := range known {
		old, err := known[i].device()
		if err != nil {
			return err
		}
		devices[old.DeviceKey].Merge(old)
	}
	rows := make([]deviceRow, 0, len(devices))
	for _, d := range devices {
		row, err := newDeviceRow(d)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return deviceTable.upsert(tx, s.db.Engine(), rows)
}

func (s *Store) mergeLicenses(tx *gorm.DB, licenses map[string]*usage.License) (map[string]*usage.License, error) {
	keys := make([]licenseKey, 0, len(licenses))
	for id := range licenses {
		keys = append(keys, licenseKey{id})
	}
	var known []licenseRow
	if err := licenseTable.find(tx, s.db.Engine(), keys, &known); err != nil {
		return nil, err
	}
	for i := range known {
		licenses[known[i].LicenseID].Merge(known[i].license())
	}
	rows := make([]licenseRow, 0, len(licenses))
	for _, l := range licenses {
		rows = append(rows, newLicenseRow(l))
	}
	return licenses, licenseTable.upsert(tx, s.db.Engine(), rows)
}
