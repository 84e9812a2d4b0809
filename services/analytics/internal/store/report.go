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

// ofCustomer holds for the licenses of a customer, or for all when both arguments are "".
const ofCustomer = `(? = '' OR l.customer_id = ?)`

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
	w, c := q.Window, q.CustomerID
	err := s.db.Read(ctx).Raw(`SELECT count(*) AS licenses,
		coalesce(sum(CASE WHEN l.last_seen >= ? THEN 1 ELSE 0 END), 0) AS active,
		coalesce(sum(CASE WHEN ? THEN l.current_devices ELSE 0 END), 0) AS taken,
		coalesce(sum(CASE WHEN ? THEN l.max_devices ELSE 0 END), 0) AS seats,
		min(l.first_event_at) AS first FROM licenses l WHERE `+ofCustomer,
		w.From, limited(w.To), limited(w.To), c, c).Scan(&row).Error
	f.Totals.Licenses, f.Totals.Active, f.SeatsTaken, f.Seats, f.FirstEventAt =
		row.Licenses, row.Active, row.Taken, row.Seats, row.First.utc()
	return err
}

func (s *Store) reportCounts(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	var row struct{ Validations, Failures, Events int64 }
	const sums = `SELECT coalesce(sum(d.validations), 0) AS validations, coalesce(sum(d.failures), 0) AS failures,
		coalesce(sum(d.events), 0) AS events FROM `
	tx := s.db.Read(ctx)
	if q.CustomerID == "" {
		tx = tx.Raw(sums+`fleet d WHERE d.step = ? AND d.starts_at >= ?`, usage.StepDay, q.Window.From)
	} else {
		tx = tx.Raw(sums+`licenses l JOIN license_days d ON d.license_id = l.license_id
			WHERE l.customer_id = ? AND d.day >= ?`, q.CustomerID, q.Window.From)
	}
	err := tx.Scan(&row).Error
	f.Totals.Validations, f.Totals.Failures, f.Events = row.Validations, row.Failures, row.Events
	return err
}

func (s *Store) reportDevices(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	c, from := q.CustomerID, q.Window.From
	const seen = ` FROM devices d JOIN licenses l ON l.license_id = d.license_id WHERE d.last_seen >= ? AND ` +
		ofCustomer
	if err := s.db.Read(ctx).Raw(`SELECT count(*)`+seen, from, c, c).Scan(&f.Totals.Devices).Error; err != nil {
		return err
	}
	f.Versions = []usage.VersionDevices{}
	err := s.db.Read(ctx).Raw(`SELECT d.app_version AS version, count(*) AS devices`+seen+` AND d.app_version <> ''
		GROUP BY d.app_version ORDER BY devices DESC, version LIMIT ?`, from, c, c, listed).Scan(&f.Versions).Error
	if err != nil {
		return err
	}
	f.Countries = []usage.CountryDevices{}
	return s.db.Read(ctx).Raw(`SELECT d.country, count(*) AS devices`+seen+` AND d.country <> ''
		GROUP BY d.country ORDER BY devices DESC, d.country LIMIT ?`, from, c, c, listed).Scan(&f.Countries).Error
}

func (s *Store) reportLists(ctx context.Context, q usage.ReportQuery, f *usage.ReportFacts) error {
	w, c := q.Window, q.CustomerID
	f.OverLimit, f.Unused, f.Expiring = []usage.LicenseSeats{}, []usage.LicenseIdle{}, []usage.LicenseEnd{}
	err := s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.current_devices, l.max_devices FROM licenses l
		WHERE l.current_devices > l.max_devices
		AND `+ofCustomer+` ORDER BY l.license_id LIMIT ?`, c, c, listed).Scan(&f.OverLimit).Error
	if err != nil {
		return err
	}
	var unused, expiring []licenseRow
	err = s.db.Read(ctx).Raw(`SELECT l.license_id, l.customer_id, l.last_seen FROM licenses l
		WHERE (l.last_seen IS NULL OR l.last_seen < ?) AND ? AND `+ofCustomer+` ORDER BY l.license_id LIMIT ?`,
		w.From, usable(w.To), c, c, listed).Scan(&unused).Error
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
		WHERE l.expires_at <= ? AND ? AND `+ofCustomer+` ORDER BY l.expires_at, l.license_id LIMIT ?`,
		w.To.Add(usage.ExpiringWithin), usable(w.To), c, c, listed).Scan(&expiring).Error
	for i := range expiring {
		f.Expiring = append(f.Expiring, usage.LicenseEnd{
			LicenseID:  expiring[i].LicenseID,
			CustomerID: expiring[i].CustomerID,
			ExpiresAt:  expiring[i].ExpiresAt.utc(),
		})
	}
	return err
}

// pageRow is a license with the sums of its days in the window.
type pageRow struct {
	LicenseID      string
	CustomerID     string
	Validations    int64
	Failures       int64
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
		(SELECT coalesce(sum(d.validations), 0) FROM license_days d
		WHERE d.license_id = l.license_id AND d.day >= ?) AS validations,
		(SELECT coalesce(sum(d.failures), 0) FROM license_days d
		WHERE d.license_id = l.license_id AND d.day >= ?) AS failures,
		(SELECT count(*) FROM anomalies a WHERE a.license_id = l.license_id AND a.closed_at IS NULL
		AND a.status <> ?) AS anomalies
		FROM licenses l WHERE l.license_id > ? AND `+ofCustomer+` ORDER BY l.license_id LIMIT ?`,
		q.Window.From, q.Window.From, usage.StatusFalsePositive, after, q.CustomerID, q.CustomerID, q.Limit).
		Scan(&rows).Error
	if err != nil {
		return nil, db.Error(fmt.Errorf("read a page of licenses: %w", err))
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].LicenseID
	}
	used := map[string]deviceFigures{}
	err = s.deviceUses(ctx, ids, q.Window, func(id string, u *usage.DeviceUse) {
		used[id] = deviceFigures{distinct: int64(len(u.Uses)), peak: u.Peak}
	})
	if err != nil {
		return nil, err
	}
	page := make([]usage.LicenseUsage, len(rows))
	for i := range rows {
		page[i] = rows[i].usage(used[rows[i].LicenseID])
	}
	return page, nil
}

// deviceFigures are what a page tells of a license's devices.
type deviceFigures struct {
	distinct int64
	peak     int
}

func (r *pageRow) usage(d deviceFigures) usage.LicenseUsage {
	u := usage.LicenseUsage{
		LicenseID:      r.LicenseID,
		CustomerID:     r.CustomerID,
		Validations:    r.Validations,
		Failures:       r.Failures,
		Devices:        d.distinct,
		MaxDevices:     usage.Limit(r.MaxDevices),
		Slots:          r.Slots,
		PeakConcurrent: d.peak,
		Utilization:    usage.SeatShare(r.CurrentDevices, r.MaxDevices),
		LastSeen:       r.LastSeen.orNil(),
		RiskScore:      r.RiskScore,
		Anomalies:      r.Anomalies,
		ExpiresAt:      r.ExpiresAt.orNil(),
	}
	return u
}
