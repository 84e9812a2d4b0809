package store

import (
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// addUp writes the rollups: whole rows from w, and sums that the database adds up.
func (s *Store) addUp(tx *gorm.DB, c *usage.Changes, w *work) error {
	fleet, fleetFailures, failures := sums(c)
	lateDays := make([]dayRow, 0, len(w.lateDays))
	for _, day := range w.lateDays {
		lateDays = append(lateDays, newDayRow(day))
	}
	for _, part := range []struct {
		table table
		write func(table, *gorm.DB, db.Engine, any) error
		rows  any
	}{
		{licenseTable, table.insert, w.newLicenses}, {licenseTable, table.update, w.knownLicenses}, {usedTable, table.update, w.usedLicenses},
		{dayTable, table.insert, w.pastDays}, {dayTable, table.upsert, lateDays},
		{deviceTable, table.insert, w.newDevices}, {deviceTable, table.update, w.knownDevices},
		{deviceDayTable, table.insert, w.pastDeviceDays}, {deviceDayTable, table.upsert, w.lateDeviceDays},
		{networkTable, table.upsert, w.networks}, {fleetTable, table.upsert, fleet},
		{fleetFailureTable, table.upsert, fleetFailures}, {licenseFailureTable, table.upsert, failures},
	} {
		if err := part.write(part.table, tx, s.db.Engine(), part.rows); err != nil {
			return err
		}
	}
	return nil
}

func sums(c *usage.Changes) (fleet []fleetRow, fleetFailures []fleetFailureRow, failures []licenseFailureRow) {
	for b, n := range c.Fleet {
		fleet = append(fleet, fleetRow{b.Step, at(b.Start), n.Validations, n.Failures, n.Activations, n.Deactivations, n.Heartbeats, n.Events})
	}
	for k, n := range c.Failures {
		if k.LicenseID == "" {
			fleetFailures = append(fleetFailures, fleetFailureRow{at(k.Start), k.Code, n})
		} else {
			failures = append(failures, licenseFailureRow{k.LicenseID, at(k.Start), k.Code, n})
		}
	}
	return fleet, fleetFailures, failures
}
