package store

import (
	"reflect"
	"testing"
)

// Rows travel by the order of their fields: it must be that of the columns, and the keys' that of the key columns.
func TestRowsFollowTheirColumns(t *testing.T) {
	for _, c := range []struct {
		table table
		row   any
	}{
		{licenseTable, licenseRow{}}, {licenseTable.keys(), licenseKey{}}, {usedTable, usedRow{}}, {fleetTable, fleetRow{}}, {dayTable, dayRow{}},
		{dayTable.keys(), dayKey{}}, {deviceTable, deviceRow{}}, {deviceTable.keys(), deviceKey{}}, {deviceDayTable, deviceDayRow{}},
		{networkTable, networkRow{}}, {licenseFailureTable, licenseFailureRow{}}, {fleetFailureTable, fleetFailureRow{}},
		{inboxTable, inboxRow{}}, {inboxTable.keys(), inboxKey{}}, {eventTable, eventRow{}}, {stateTable, stateRow{}}, {stateTable.keys(), stateKey{}},
		{anomalyTable, anomalyRow{}}, {scoreTable, scoreRow{}},
	} {
		row := reflect.TypeOf(c.row)
		if row.NumField() != len(c.table.columns) {
			t.Errorf("%s has %d columns, %s %d fields", c.table.name, len(c.table.columns), row, row.NumField())
			continue
		}
		for i, column := range c.table.columns {
			if name := row.Field(i).Tag.Get("json"); name != column.name {
				t.Errorf("%s: column %d is %s, the field of %s is %s", c.table.name, i, column.name, row, name)
			}
		}
	}
}
