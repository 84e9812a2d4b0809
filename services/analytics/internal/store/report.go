package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// listed bounds each list of licenses that need attention.
const listed = 100

// usable is usage.License.Usable as a condition on licenses l.
func usable(now time.Time) clause.Expr {
	return gorm.Expr(`(l.active_version = 0 OR l.is_active) AND (l.starts_at IS NULL OR l.starts_at <= ?)
		AND (l.expires_at IS NULL OR l.expires_at > ? OR l.usable_until > ?)
		AND (l.suspended_at IS NULL OR l.suspended_until <= ?)`, now, now, now, now)
}

// limited holds for usable licenses with a number of seats.
func limited(now time.Time) clause.Expr {
	return gorm.Expr(`l.max_devices < ? AND ?`, usage.Unlimited, usable(now))
}

// ofCustomer holds for the licenses l of a customer, or for all. That there is none is no parameter: a plan is for any
// parameters, and would read all licenses for those of one customer.
func ofCustomer(id string) clause.Expr {
	if id == "" {
		return gorm.Expr("1 = 1")
	}
	return gorm.Expr("l.customer_id = ?", id)
}

// Report implements usage.Store.
func (s *Store) Report(ctx context.Context, q usage.ReportQuery) (*usage.ReportFacts, error) {
	f := &usage.ReportFacts{}
	steps := []func(context.Context, usage.ReportQuery, *usage.ReportFacts) error{
		s.reportTotals, s.reportCounts, s.reportDevices, s.reportLists,
	}
	for _, step := range steps {
		if err := step(ctx, q, f); err != nil {
			return nil, db.Error(fmt.Errorf("report: %w", err))
		}
	}
	return f, nil
}

func (s *Store) reportTotals(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	var row struct {
		Licenses, Active, Taken, Seats int64
		First                          stamp
	}
	w, c := q.Window, ofCustomer(q.CustomerID)
	err := s.db.Read(ctx).Raw(`SELECT count(*) AS licenses,
		coalesce(sum(CASE WHEN l.last_seen >= ? THEN 1 ELSE 0 END), 0) AS active,
		coalesce(sum(CASE WHEN ? THEN l.current_devices ELSE 0 END), 0) AS taken,
		coalesce(sum(CASE WHEN ? THEN l.max_devices ELSE 0 END), 0) AS seats,
		min(l.first_event_at) AS first FROM licenses l WHERE ?`,
		w.From, limited(w.To), limited(w.To), c).Scan(&row).Error
	f.Totals.Licenses, f.Totals.Active, f.SeatsTaken, f.Seats, f.FirstEventAt =
		row.Licenses, row.Active, row.Taken, row.Seats, row.First.utc()
	return err
}

func (s *Store) reportCounts(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	var row struct{ Validations, Failures, Events int64 }
	const sums = `SELECT coalesce(sum(validations), 0) AS validations, coalesce(sum(failures), 0) AS failures,
		coalesce(sum(events), 0) AS events FROM `
	tx := s.db.Read(ctx)
	if q.CustomerID == "" {
		tx = tx.Raw(sums+`fleet WHERE step = ? AND starts_at >= ?`, usage.StepDay, q.Window.From)
	} else {
		tx = tx.Raw(sums+`license_days WHERE license_id IN
			(SELECT license_id FROM licenses WHERE customer_id = ?) AND day >= ?`, q.CustomerID, q.Window.From)
	}
	err := tx.Scan(&row).Error
	f.Totals.Validations, f.Totals.Failures, f.Events = row.Validations, row.Failures, row.Events
	return err
}

func (s *Store) reportDevices(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	c, from := ofCustomer(q.CustomerID), q.Window.From
	const seen = ` FROM devices d JOIN licenses l ON l.license_id = d.license_id WHERE d.last_seen >= ? AND ?`
	if err := s.db.Read(ctx).Raw(`SELECT count(*)`+seen, from, c).Scan(&f.Totals.Devices).Error; err != nil {
		return err
	}
	f.Versions = []usage.VersionDevices{}
	err := s.db.Read(ctx).Raw(`SELECT d.app_version AS version, count(*) AS devices`+seen+` AND d.app_version <> ''
		GROUP BY d.app_version ORDER BY devices DESC, version LIMIT ?`, from, c, listed).Scan(&f.Versions).Error
	if err != nil {
		return err
	}
	f.Countries = []usage.CountryDevices{}
	return s.db.Read(ctx).Raw(`SELECT d.country, count(*) AS devices`+seen+` AND d.country <> ''
		GROUP BY d.country ORDER BY devices DESC, d.country LIMIT ?`, from, c, listed).Scan(&f.Countries).Error
}

func (s *Store) reportLists(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	w, c := q.Window, ofCustomer(q.CustomerID)
	f.OverLimit, f.Unused, f.Expiring = []usage.LicenseSeats{}, []usage.LicenseIdle{}, []usage.LicenseEnd{}
	err := s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.current_devices, l.max_devices FROM licenses l
		WHERE l.current_devices > l.max_devices
		AND ? ORDER BY l.license_id LIMIT ?`, c, listed).Scan(&f.OverLimit).Error
	if err != nil {
		return err
	}
	var unused, expiring []licenseRow
	err = s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.last_seen FROM licenses l
		WHERE (l.last_seen IS NULL OR l.last_seen < ?) AND ? AND ? ORDER BY l.license_id LIMIT ?`,
		w.From, usable(w.To), c, listed).Scan(&unused).Error
	if err != nil {
		return err
	}
	for i := range unused {
		f.Unused = append(f.Unused, usage.LicenseIdle{
			LicenseID:  unused[i].LicenseID,
			CustomerID: unused[i].CustomerID,
			LastSeen:   unused[i].LastSeen.orNil(),
		})
	}
	err = s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.expires_at FROM licenses l
		WHERE l.expires_at <= ? AND ? AND ? ORDER BY l.expires_at, l.license_id LIMIT ?`,
		w.To.Add(usage.ExpiringWithin), usable(w.To), c, listed).Scan(&expiring).Error
	for i := range expiring {
		f.Expiring = append(f.Expiring, usage.LicenseEnd{
			LicenseID:  expiring[i].LicenseID,
			CustomerID: expiring[i].CustomerID,
			ExpiresAt:  expiring[i].ExpiresAt.utc(),
		})
	}
	return err
}

// pageRow is what a page tells of a license, whatever the window.
type pageRow struct {
	LicenseID      string
	CustomerID     string
	CurrentDevices int64
	MaxDevices     int
	Slots          int
	LastSeen       stamp
	RiskScore      int
	Anomalies      int64
	ExpiresAt      stamp
}

// Page implements usage.Store. The page's licenses come first, then what belongs to them: neither the cost nor the
// memory grows with the number of licenses, nor the memory with the days of their devices.
func (s *Store) Page(ctx context.Context, q usage.ReportQuery) ([]usage.LicenseUsage, error) {
	after := q.After
	if after == "" {
		after = "00000000-0000-0000-0000-000000000000"
	}
	var rows []pageRow
	err := s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.current_devices, l.max_devices, l.slots,
		l.last_seen, l.risk_score, l.expires_at,
		(SELECT count(*) FROM anomalies a WHERE a.license_id = l.license_id AND a.closed_at IS NULL
		AND a.status <> ?) AS anomalies
		FROM licenses l WHERE l.license_id > ? AND ? ORDER BY l.license_id LIMIT ?`,
		usage.StatusFalsePositive, after, ofCustomer(q.CustomerID), q.Limit).
		Scan(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read a page of licenses: %w", err))
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].LicenseID
	}
	used, err := s.windowFigures(ctx, ids, q.Window)
	if err != nil {
		return nil, err
	}
	page := make([]usage.LicenseUsage, len(rows))
	for i := range rows {
		page[i] = rows[i].usage(used[rows[i].LicenseID])
	}
	return page, nil
}

// windowFigures are what a page tells of a license in the window.
type windowFigures struct {
	LicenseID             string
	Validations, Failures int64
	devices               int64
	peak                  int
}

// windowFigures reads those of licenses by their ids: in a subquery for each, SQLite would look for them in the days of
// all licenses.
func (s *Store) windowFigures(ctx context.Context, ids []string, w usage.Window) (map[string]windowFigures, error) {
	var rows []windowFigures
	err := s.db.Read(ctx).Raw(`SELECT license_id, sum(validations) AS validations, sum(failures) AS failures
		FROM license_days WHERE license_id IN ? AND day >= ? GROUP BY license_id`, ids, w.From).Scan(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read days of licenses: %w", err))
	}
	found := make(map[string]windowFigures, len(rows))
	for _, r := range rows {
		found[r.LicenseID] = r
	}
	err = s.deviceUses(ctx, ids, w, func(id string, u *usage.DeviceUse) {
		f := found[id]
		f.devices, f.peak = int64(len(u.Uses)), u.Peak
		found[id] = f
	})
	return found, err
}

func (r *pageRow) usage(w windowFigures) usage.LicenseUsage {
	u := usage.LicenseUsage{
		LicenseID:      r.LicenseID,
		CustomerID:     r.CustomerID,
		Validations:    w.Validations,
		Failures:       w.Failures,
		Devices:        w.devices,
		MaxDevices:     usage.Limit(r.MaxDevices),
		Slots:          r.Slots,
		PeakConcurrent: w.peak,
		Utilization:    usage.SeatShare(r.CurrentDevices, r.MaxDevices),
		LastSeen:       r.LastSeen.orNil(),
		RiskScore:      r.RiskScore,
		Anomalies:      r.Anomalies,
		ExpiresAt:      r.ExpiresAt.orNil(),
	}
	return u
}
