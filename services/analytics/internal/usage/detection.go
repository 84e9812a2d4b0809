package usage

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// Detectable is the license as the detectors see it.
func (l *License) Detectable() detect.License {
	id := l.Identity.Value
	return detect.License{ID: l.ID, CustomerID: id.CustomerID, MaxDevices: l.MaxDevices.Value, Slots: id.Slots,
		CreatedAt: l.CreatedAt, ExpiresAt: l.Span.Value.ExpiresAt, IsTest: id.IsTest, Plan: id.Type}
}

// Detection asks to look for anomalies of one license in what was stored. Zero times mean the last 30 days; a zero
// sensitivity means 1.
type Detection struct {
	From, To    time.Time
	Sensitivity float64
	newest      bool // From was chosen so that only as many events as may be checked follow
}

// Detected is what was looked at and what is known of the license in that span, found before or just now.
type Detected struct {
	LicenseID   string      `json:"license_id"`
	GeneratedAt time.Time   `json:"generated_at"`
	Window      Window      `json:"window"`
	DataQuality DataQuality `json:"data_quality"`
	Checked     Checked     `json:"checked"`
	Anomalies   []Anomaly   `json:"anomalies"`
	// New counts the anomalies that were not known before.
	New       int    `json:"new"`
	RiskScore int    `json:"risk_score"`
	RiskLevel string `json:"risk_level"`
}

// Checked is what a detection looked at.
type Checked struct {
	Events int       `json:"events"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	// Truncated says that From lies later than 30 days before To, because too many events lie between.
	Truncated bool    `json:"truncated"`
	TookMS    float64 `json:"took_ms"`
}
