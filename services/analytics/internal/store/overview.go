package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	// latestListed and topListed bound the dashboard's lists.
	latestListed = 10
	topListed    = 10
	// recentDays is over which devices the dashboard's versions and countries are counted.
	recentDays = 30
)

// Overview implements usage.Store.
func (s *Store) Overview(ctx context.Context, now time.Time) (*usage.Overview, error) {
	o := &usage.Overview{Versions: []usage.VersionDevices{}, Countries: []usage.CountryDevices{}}
	steps := []func(context.Context, time.Time, *usage.Overview) error{
		s.overviewTotals, s.overviewProgress, s.overviewDevices, s.overviewFailures, s.overviewAnomalies,
		s.overviewRisk,
	}
	for _, step := range steps {
		if err := step(ctx, now, o); err != nil {
			return nil, db.Error(fmt.Errorf("dashboard: %w", err))
		}
	}
	return o, nil
}

func (s *Store) overviewTotals(ctx context.Context, now time.Time, o *usage.Overview) error {
	var row struct{ Licenses, Usable, Devices int64 }
	err := s.db.Read(ctx).Raw(`SELECT count(*) AS licenses, coalesce(sum(CASE WHEN ? THEN 1 ELSE 0 END), 0) AS usable,
		coalesce(sum(l.current_devices), 0) AS devices FROM licenses l`, usable(now)).Scan(&row).Error
	o.Licenses, o.ActiveLicenses, o.Devices = row.Licenses, row.Usable, row.Devices
	return err
}

func (s *Store) overviewProgress(ctx context.Context, _ time.Time, o *usage.Overview) error {
	var row struct {
		LagMS        *int64 `gorm:"column:lag_ms"`
		FirstEventAt stamp
	}
	err := s.db.Read(ctx).Raw(`SELECT lag_ms, first_event_at FROM consumer WHERE name = ?`, consumerName).
		Scan(&row).Error
	o.FirstEventAt, o.Lag = row.FirstEventAt.utc(), -1
	if row.LagMS != nil {
		o.Lag = time.Duration(*row.LagMS) * time.Millisecond
	}
	return err
}

// overviewDevices reads the devices once for all that is said about them.
func (s *Store) overviewDevices(ctx context.Context, now time.Time, o *usage.Overview) error {
	var rows []struct {
		AppVersion, Country string
		Devices, Live       int64
	}
	err := s.db.Read(ctx).Raw(`SELECT app_version, country, count(*) AS devices,
		sum(CASE WHEN last_seen >= ? THEN 1 ELSE 0 END) AS live
		FROM devices WHERE last_seen >= ? GROUP BY app_version, country`,
		now.Add(-usage.LiveFor), now.AddDate(0, 0, -recentDays)).Scan(&rows).Error
	versions, countries := map[string]int64{}, map[string]int64{}
	for _, r := range rows {
		o.LiveDevices += r.Live
		versions[r.AppVersion] += r.Devices
		countries[r.Country] += r.Devices
	}
	for _, version := range mostFirst(versions) {
		o.Versions = append(o.Versions, usage.VersionDevices{Version: version, Devices: versions[version]})
	}
	for _, country := range mostFirst(countries) {
		o.Countries = append(o.Countries, usage.CountryDevices{Country: country, Devices: countries[country]})
	}
	return err
}

// mostFirst is the names with the largest counts, without the empty one.
func mostFirst(counts map[string]int64) []string {
	delete(counts, "")
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return names[:min(len(names), listed)]
}

func (s *Store) overviewFailures(ctx context.Context, now time.Time, o *usage.Overview) error {
	var rows []fleetFailureRow
	err := s.db.Read(ctx).
		Raw(`SELECT error_code, sum(failures) AS failures FROM fleet_failures WHERE starts_at > ? GROUP BY error_code`,
			now.Add(-24*time.Hour)).Scan(&rows).Error
	o.Failures = map[string]int64{}
	for _, r := range rows {
		o.Failures[r.ErrorCode] = r.Failures
	}
	return err
}

func (s *Store) overviewAnomalies(ctx context.Context, now time.Time, o *usage.Overview) error {
	var err error
	a := &o.Anomalies
	if a.Open, a.Last24h, err = s.CountAnomalies(ctx, now.Add(-24*time.Hour)); err != nil {
		return err
	}
	var rows []struct {
		Type string
		N    int64
	}
	err = s.db.Read(ctx).
		Raw(`SELECT type, count(*) AS n FROM anomalies WHERE closed_at IS NULL AND status <> ? GROUP BY type`,
			usage.StatusFalsePositive).Scan(&rows).Error
	if err != nil {
		return err
	}
	a.ByType = map[string]int64{}
	for _, r := range rows {
		a.ByType[r.Type] = r.N
	}
	a.Latest, err = s.Anomalies(ctx, usage.AnomalyQuery{Limit: latestListed})
	return err
}

func (s *Store) overviewRisk(ctx context.Context, _ time.Time, o *usage.Overview) error {
	var bands []struct {
		Score int
		N     int64
	}
	err := s.db.Read(ctx).Raw(`SELECT risk_score AS score, count(*) AS n FROM licenses WHERE risk_score > 0
		GROUP BY risk_score`).Scan(&bands).Error
	if err != nil {
		return err
	}
	o.Risk.Distribution = map[string]int64{"low": o.Licenses, "guarded": 0, "high": 0, "critical": 0}
	for _, b := range bands {
		o.Risk.Distribution["low"] -= b.N
		o.Risk.Distribution[detect.Level(b.Score)] += b.N
	}
	o.Risk.Top = []usage.LicenseRisk{}
	err = s.db.Read(ctx).Raw(`SELECT license_id, customer_id, risk_score FROM licenses WHERE risk_score > 0
		ORDER BY risk_score DESC, license_id LIMIT ?`, topListed).Scan(&o.Risk.Top).Error
	for i := range o.Risk.Top {
		o.Risk.Top[i].RiskLevel = detect.Level(o.Risk.Top[i].RiskScore)
	}
	return err
}

// Fleet implements usage.Store.
func (s *Store) Fleet(ctx context.Context, step string, from time.Time) ([]usage.FleetPoint, error) {
	var rows []fleetRow
	err := s.db.Read(ctx).Table("fleet").Where("step = ? AND starts_at >= ?", step, from).
		Order("starts_at").Find(&rows).Error
	points := make([]usage.FleetPoint, len(rows))
	for i, r := range rows {
		points[i] = usage.FleetPoint{
			Start: r.StartsAt.utc(),
			Counts: usage.Counts{Validations: r.Validations, Failures: r.Failures,
				Activations: r.Activations, Deactivations: r.Deactivations, Heartbeats: r.Heartbeats, Events: r.Events},
		}
	}
	return points, db.Error(err)
}
