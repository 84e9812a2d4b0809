package usage

import (
	"time"
)

// The dashboard's spans.
const (
	// SeriesHours is the length of the dashboard's series.
	SeriesHours = 24
	// LiveFor is how long after its last sign of life a device counts as active on the dashboard.
	LiveFor = 15 * time.Minute
	// liveMinutes is over how many whole minutes the live rates are taken.
	liveMinutes = 5
)

// Dashboard is the state of the whole installation. A further figure is read in store/overview.go, described in
// proto/openapi/analytics.yaml, and part of api/testdata/dashboard.shape, which LATCHKEY_TEST_UPDATE=1 writes.
type Dashboard struct {
	GeneratedAt time.Time        `json:"generated_at"`
	DataQuality DataQuality      `json:"data_quality"`
	Window      Window           `json:"window"`
	Live        Live             `json:"live"`
	Totals      DashboardTotals  `json:"totals"`
	Series      Series           `json:"series"`
	Anomalies   AnomalyOverview  `json:"anomalies"`
	Risk        RiskOverview     `json:"risk"`
	Failures    FailurePatterns  `json:"failures"`
	Versions    []VersionDevices `json:"versions"`
	Map         []CountryDevices `json:"map"`
}

// Live is what goes on now: rates are taken over the last five minutes, devices over the last fifteen.
type Live struct {
	ActiveDevices        int64   `json:"active_devices"`
	ValidationsPerMinute float64 `json:"validations_per_minute"`
	FailureRate          float64 `json:"failure_rate"`
	// ConsumerLagSeconds is how old the oldest event of the last batch was when it was stored; null before the first.
	ConsumerLagSeconds *float64 `json:"consumer_lag_seconds"`
}

// DashboardTotals are the installation's figures; those that end in 24h are of the last 24 hours.
type DashboardTotals struct {
	Licenses       int64 `json:"licenses"`
	ActiveLicenses int64 `json:"active_licenses"`
	Devices        int64 `json:"devices"`
	Validations    int64 `json:"validations_24h"`
	Failures       int64 `json:"failures_24h"`
	Activations    int64 `json:"activations_24h"`
	Deactivations  int64 `json:"deactivations_24h"`
	Heartbeats     int64 `json:"heartbeats_24h"`
}

// Series is the fleet's validations by hour.
type Series struct {
	Step   string  `json:"step"`
	Points []Point `json:"points"`
}

// Point is one hour, and what the same hour of earlier days let expect of its validations.
type Point struct {
	T           time.Time `json:"t"`
	Validations int64     `json:"validations"`
	Failures    int64     `json:"failures"`
	Expectation
}

// AnomalyOverview counts anomalies; ByType those open. Latest are the newest.
type AnomalyOverview struct {
	Open    int64            `json:"open"`
	Last24h int64            `json:"last_24h"`
	ByType  map[string]int64 `json:"by_type"`
	Latest  []Anomaly        `json:"latest"`
}

// RiskOverview counts licenses by risk level and names the riskiest.
type RiskOverview struct {
	Distribution map[string]int64 `json:"distribution"`
	Top          []LicenseRisk    `json:"top"`
}

// LicenseRisk is a license and its risk.
type LicenseRisk struct {
	LicenseID  string `json:"license_id"`
	CustomerID string `json:"customer_id"`
	RiskScore  int    `json:"risk_score"`
	RiskLevel  string `json:"risk_level"`
}

// FleetPoint is one span of the fleet's series.
type FleetPoint struct {
	Start time.Time
	Counts
}

// Overview is what the rollups hold of the installation at the moment. Lag is negative before the first batch.
type Overview struct {
	Licenses, ActiveLicenses, Devices, LiveDevices int64
	FirstEventAt                                   time.Time
	Lag                                            time.Duration
	Failures                                       map[string]int64
	Versions                                       []VersionDevices
	Countries                                      []CountryDevices
	Anomalies                                      AnomalyOverview
	Risk                                           RiskOverview
}

func newDashboard(now time.Time, o *Overview, minutes, hours []FleetPoint) *Dashboard {
	day, live := sum(minutes, now.Add(-24*time.Hour)), sum(minutes,
		now.Truncate(time.Minute).Add(-liveMinutes*time.Minute))
	d := &Dashboard{
		GeneratedAt: now, Window: Window{now.Add(-24 * time.Hour), now, 1},
		Live: Live{
			ActiveDevices:        o.LiveDevices,
			ValidationsPerMinute: round(float64(live.Validations)/liveMinutes, 2),
			FailureRate:          Share(live.Failures, live.Validations+live.Failures),
		},
		Totals: DashboardTotals{
			Licenses:       o.Licenses,
			ActiveLicenses: o.ActiveLicenses,
			Devices:        o.Devices,
			Validations:    day.Validations,
			Failures:       day.Failures,
			Activations:    day.Activations,
			Deactivations:  day.Deactivations,
			Heartbeats:     day.Heartbeats,
		},
		Series:    newSeries(now, hours, o.FirstEventAt),
		Anomalies: o.Anomalies, Risk: o.Risk,
		Failures: FailurePatterns{ByCode: o.Failures},
		Versions: o.Versions, Map: o.Countries,
	}
	if o.Lag >= 0 {
		lag := round(o.Lag.Seconds(), 3)
		d.Live.ConsumerLagSeconds = &lag
	}
	d.DataQuality = quality(LastDays(now, 14), sum(hours, time.Time{}).Events, o.FirstEventAt)
	return d
}

// sum adds up the points that begin at since or later.
func sum(points []FleetPoint, since time.Time) (total Counts) {
	for _, p := range points {
		if !p.Start.Before(since) {
			total.Add(p.Counts)
		}
	}
	return total
}

// newSeries takes hours of the last SeriesHours and, for what is expected, of the fourteen days before.
func newSeries(now time.Time, hours []FleetPoint, first time.Time) Series {
	known := map[time.Time]Counts{}
	for _, p := range hours {
		known[p.Start] = p.Counts
	}
	s := Series{Step: "1h", Points: make([]Point, 0, SeriesHours)}
	for t := now.Truncate(time.Hour).Add(-(SeriesHours - 1) * time.Hour); !t.After(now); t = t.Add(time.Hour) {
		var history []float64
		for day := 1; day <= 14; day++ {
			if at := t.AddDate(0, 0, -day); !first.IsZero() && !at.Before(first) {
				history = append(history, float64(known[at].Validations))
			}
		}
		s.Points = append(s.Points, Point{t, known[t].Validations, known[t].Failures, expect(history)})
	}
	return s
}
