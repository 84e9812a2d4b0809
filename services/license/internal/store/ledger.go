package store

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// ledger is a counter.Ledger with what the tables hold of it.
type ledger struct {
	*counter.Ledger
	counters   map[string]counter.Counter
	parts      map[counter.Device]counter.Part
	operations map[string]*counter.Operation
	reports    map[counter.ReportKey]*counter.KeptReport
}

// ledgers are by the ids of licenses.
type ledgers map[string]*ledger

// loadLedgers locks the licenses of changes and loads what the changes name. Without the lock of its license nobody
// writes to a counter, so what is read after it stays true.
func loadLedgers(tx *gorm.DB, changes []counterChange, lock clause.Locking) (ledgers, error) {
	var ids []string
	for _, c := range changes {
		ids = append(ids, c.LicenseID)
	}
	var rows []licenseRow
	err := tx.Clauses(lock).Table("licenses").Select(licenseColumns).Where(db.In("id", ids)).Find(&rows).Error
	held := make(ledgers, len(rows))
	for i := range rows {
		held[rows[i].ID] = newLedger(rows[i].license())
	}
	for _, load := range []func(*gorm.DB, []counterChange) error{
		held.loadCounters, held.loadDevices, held.loadParts, held.loadOperations, held.loadReports,
	} {
		if err == nil && len(held) > 0 {
			err = load(tx, changes)
		}
	}
	return held, err
}

func newLedger(l licensing.License) *ledger {
	return &ledger{
		Ledger: &counter.Ledger{
			Change:      licensing.Change{License: l, Devices: map[string]*licensing.Device{}},
			Counters:    map[string]counter.Counter{},
			Parts:       map[counter.Device]counter.Part{},
			Operations:  map[string]*counter.Operation{},
			Reports:     map[counter.ReportKey]*counter.KeptReport{},
			ReportsKept: map[string]int{},
		},
		counters:   map[string]counter.Counter{},
		parts:      map[counter.Device]counter.Part{},
		operations: map[string]*counter.Operation{},
		reports:    map[counter.ReportKey]*counter.KeptReport{},
	}
}

func (held ledgers) loadCounters(tx *gorm.DB, _ []counterChange) error {
	var ids []string
	for id := range held {
		ids = append(ids, id)
	}
	var rows []counterRow
	err := tx.Table("counters").Where(db.In("license_id", ids)).Find(&rows).Error
	for i := range rows {
		l, c := held[rows[i].LicenseID], rows[i].counter()
		l.counters[c.Name], l.Counters[c.Name] = c, c
	}
	return err
}

func (held ledgers) loadDevices(tx *gorm.DB, changes []counterChange) error {
	var rows []deviceRow
	q, any := held.either(tx, "hardware_id", changes, func(c counterChange) string { return c.HardwareID })
	if !any {
		return nil
	}
	err := tx.Table("devices").Where(q).Find(&rows).Error
	for i := range rows {
		d := rows[i].device()
		held[d.LicenseID].Devices[d.HardwareID] = &d
	}
	return err
}

func (held ledgers) loadParts(tx *gorm.DB, changes []counterChange) error {
	q, any := held.either(tx, "hardware_id", changes, func(c counterChange) string {
		if l := held[c.LicenseID]; l != nil && l.License.CountsDevices() {
			return c.HardwareID
		}
		return ""
	})
	if !any {
		return nil
	}
	var rows []partRow
	err := tx.Table("counter_devices").Where(q).Find(&rows).Error
	for _, r := range rows {
		l, d := held[r.LicenseID], counter.Device{Counter: r.Counter, HardwareID: r.HardwareID}
		l.parts[d] = counter.Part{Period: r.Period, Used: r.Used}
		l.Parts[d] = l.parts[d]
	}
	return err
}

func (held ledgers) loadOperations(tx *gorm.DB, changes []counterChange) error {
	q, any := held.either(tx, "operation_id", changes, func(c counterChange) string { return c.OperationID })
	if !any {
		return nil
	}
	var rows []operationRow
	err := tx.Table("counter_operations").Where(q).Find(&rows).Error
	for i := range rows {
		l, o := held[rows[i].LicenseID], rows[i].operation()
		l.operations[o.ID], l.Operations[o.ID] = o, o
	}
	return err
}

// either selects the rows whose license and column are those of one of the changes; some is false where no change has a
// value. On PostgreSQL its text is the same for all, as that of db.In.
func (held ledgers) either(
	tx *gorm.DB, column string, changes []counterChange, value func(counterChange) string,
) (q clause.Expr, some bool) {
	var ids, values db.Array[string]
	for _, c := range changes {
		if v := value(c); v != "" && held[c.LicenseID] != nil {
			ids, values = append(ids, c.LicenseID), append(values, v)
		}
	}
	if tx.Name() == "postgres" {
		q.SQL = "(license_id, " + column + ") IN (SELECT * FROM unnest(?::uuid[], ?::text[]))"
		q.Vars = []any{ids, values}
		return q, len(ids) > 0
	}
	either := make([]string, len(ids))
	for i := range ids {
		either[i] = "license_id = ? AND " + column + " = ?"
		q.Vars = append(q.Vars, ids[i], values[i])
	}
	q.SQL = "(" + strings.Join(either, ") OR (") + ")"
	return q, len(ids) > 0
}

// ledgerRows are what differs from what was loaded.
type ledgerRows struct {
	counters   []counterRow
	parts      []partRow
	operations []operationRow
	reports    []reportRow
	entries    []entryRow
}

func (r *ledgerRows) add(licenseID string, l *ledger) {
	for name, c := range l.Counters {
		if c != l.counters[name] {
			r.counters = append(r.counters, newCounterRow(licenseID, c))
		}
	}
	for d, p := range l.Parts {
		if p != l.parts[d] {
			r.parts = append(r.parts, partRow{licenseID, d.Counter, d.HardwareID, p.Period, p.Used})
		}
	}
	for name, o := range l.Operations {
		if o != l.operations[name] {
			r.operations = append(r.operations, newOperationRow(licenseID, o))
		}
	}
	for key, report := range l.Reports {
		if report != l.reports[key] {
			r.reports = append(r.reports, newReportRow(licenseID, key, report))
		}
	}
	for _, e := range l.Entries {
		r.entries = append(r.entries, entryRow{licenseID, e})
	}
}

// writing is what writes what differs from what was loaded, one statement for each table.
func (held ledgers) writing(ctx context.Context) []db.Query {
	var rows ledgerRows
	for id, l := range held {
		rows.add(id, l)
		if l.AfterCommit != nil {
			db.AfterCommit(ctx, l.AfterCommit)
		}
	}
	return slices.Concat(
		db.Upserting("counters", rows.counters, "license_id", "name"),
		db.Upserting("counter_devices", rows.parts, "license_id", "hardware_id", "counter"),
		db.Upserting("counter_operations", rows.operations, "license_id", "operation_id"),
		db.Upserting("usage_reports", rows.reports, "license_id", "device_id", "report_id"),
		db.Upserting("counter_history", rows.entries, "id"),
	)
}
