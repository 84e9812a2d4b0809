package usage

import "time"

// ExpiringWithin is how far ahead a report looks for licenses that end.
const ExpiringWithin = 30 * 24 * time.Hour

// ReportQuery asks for a usage report. After is the id of the last license of the page before; it and CustomerID may
// be empty.
type ReportQuery struct {
	Window     Window
	CustomerID string
	After      string
	Limit      int
}

// Report is how all licenses, or those of one customer, were used.
type Report struct {
	GeneratedAt time.Time        `json:"generated_at"`
	Window      Window           `json:"window"`
	DataQuality DataQuality      `json:"data_quality"`
	Totals      Totals           `json:"totals"`
	ByLicense   []LicenseUsage   `json:"by_license"`
	ByVersion   []VersionDevices `json:"by_version"`
	ByCountry   []CountryDevices `json:"by_country"`
	OverLimit   []LicenseSeats   `json:"over_limit"`
	Unused      []LicenseIdle    `json:"unused"`
	Expiring    []LicenseEnd     `json:"expiring"`
	NextCursor  *string          `json:"next_cursor"`
}

// Totals are the figures of a report. Active licenses were used in the window, idle ones not; SeatUtilization is the
// share of the seats of usable, limited licenses that is taken now, from 0 to 1, or more where limits were lowered.
type Totals struct {
	Licenses        int64   `json:"licenses"`
	Active          int64   `json:"active"`
	Idle            int64   `json:"idle"`
	Devices         int64   `json:"devices"`
	Validations     int64   `json:"validations"`
	Failures        int64   `json:"failures"`
	SeatUtilization float64 `json:"seat_utilisation"` // the API spells it so
}

// LicenseUsage is one license's line of a report. MaxDevices is null, and Utilization 0, where the number
// of devices is not limited; else Utilization is the share of the seats taken now. Slots are those of leases
// that need no seat. Anomalies counts those open.
type LicenseUsage struct {
	LicenseID      string     `json:"license_id"`
	CustomerID     string     `json:"customer_id"`
	Validations    int64      `json:"validations"`
	Failures       int64      `json:"failures"`
	Devices        int64      `json:"devices"`
	MaxDevices     *int       `json:"max_devices"`
	Slots          int        `json:"slots"`
	PeakConcurrent int        `json:"peak_concurrent"`
	Utilization    float64    `json:"utilisation"` // the API spells it so
	LastSeen       *time.Time `json:"last_seen"`
	RiskScore      int        `json:"risk_score"`
	Anomalies      int64      `json:"anomalies"`
	ExpiresAt      *time.Time `json:"expires_at"`
}

// VersionDevices is how many devices ran a version of the application last.
type VersionDevices struct {
	Version string `json:"version"`
	Devices int64  `json:"devices"`
}

// CountryDevices is how many devices were last seen in a country.
type CountryDevices struct {
	Country string `json:"country"`
	Devices int64  `json:"devices"`
}

// LicenseSeats is a license with more devices than seats.
type LicenseSeats struct {
	LicenseID      string `json:"license_id"`
	CustomerID     string `json:"customer_id"`
	CurrentDevices int    `json:"current_devices"`
	MaxDevices     int    `json:"max_devices"`
}

// LicenseIdle is a usable license that was not used in the window; LastSeen is null where it never was.
type LicenseIdle struct {
	LicenseID  string     `json:"license_id"`
	CustomerID string     `json:"customer_id"`
	LastSeen   *time.Time `json:"last_seen"`
}

// LicenseEnd is a license that ends soon.
type LicenseEnd struct {
	LicenseID  string    `json:"license_id"`
	CustomerID string    `json:"customer_id"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// ReportFacts is what the rollups hold for a report, without its licenses.
type ReportFacts struct {
	Totals            Totals
	SeatsTaken, Seats int64
	Events            int64
	FirstEventAt      time.Time
	Versions          []VersionDevices
	Countries         []CountryDevices
	OverLimit         []LicenseSeats
	Unused            []LicenseIdle
	Expiring          []LicenseEnd
}

func newReport(q ReportQuery, f *ReportFacts, page []LicenseUsage) *Report {
	r := &Report{
		GeneratedAt: q.Window.To, Window: q.Window, Totals: f.Totals, ByLicense: page, ByVersion: f.Versions,
		ByCountry: f.Countries, OverLimit: f.OverLimit, Unused: f.Unused, Expiring: f.Expiring,
		DataQuality: quality(q.Window, f.Events, f.FirstEventAt),
	}
	r.Totals.Idle = r.Totals.Licenses - r.Totals.Active
	r.Totals.SeatUtilization = Share(f.SeatsTaken, f.Seats)
	if len(page) == q.Limit && q.Limit > 0 {
		r.NextCursor = &page[q.Limit-1].LicenseID
	}
	return r
}
