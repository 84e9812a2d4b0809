package usage

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// HistoryDays is how many days of scores a risk answer carries.
const HistoryDays = 30

// Risk is a license's risk score and what it is made of: weights, levels and what feedback does are in detect/risk.go.
type Risk struct {
	LicenseID   string       `json:"license_id"`
	GeneratedAt time.Time    `json:"generated_at"`
	Window      Window       `json:"window"`
	DataQuality DataQuality  `json:"data_quality"`
	RiskScore   int          `json:"risk_score"`
	RiskLevel   string       `json:"risk_level"`
	Probability float64      `json:"probability"`
	Confidence  string       `json:"confidence"`
	Trend       RiskTrend    `json:"trend"`
	Factors     []RiskFactor `json:"factors"`
	History     []DayScore   `json:"history"`
	// CalculatedAt is the moment for which the evidence was aged.
	CalculatedAt time.Time `json:"calculated_at"`
}

// RiskTrend compares with a week ago.
type RiskTrend struct {
	WeekAgo int `json:"7d_ago"`
	Change  int `json:"change"`
}

// RiskFactor is one kind's share of the score; the points of all add up to it.
type RiskFactor struct {
	Type         string  `json:"type"`
	Points       int     `json:"points"`
	Weight       float64 `json:"weight"`
	Strength     float64 `json:"strength"`
	AgeHours     float64 `json:"age_hours"`
	HalfLifeDays float64 `json:"half_life_days"`
	Reason       string  `json:"reason"`
	AnomalyID    string  `json:"anomaly_id"`
}

// DayScore is the score that was stored for a day.
type DayScore struct {
	Date  Date `json:"date"`
	Score int  `json:"score"`
}

// ScoreOf is the risk that a license's anomalies give at a moment.
func ScoreOf(anomalies []Anomaly, at time.Time) detect.Score {
	confirmed, denied := map[string]int{}, map[string]int{}
	for i := range anomalies {
		switch anomalies[i].Status {
		case StatusConfirmed:
			confirmed[anomalies[i].Type]++
		case StatusFalsePositive:
			denied[anomalies[i].Type]++
		}
	}
	weighted := make([]detect.Weighted, 0, len(anomalies))
	for i := range anomalies {
		a := &anomalies[i]
		feedback := detect.Feedback(confirmed[a.Type], denied[a.Type])
		if a.Status == StatusFalsePositive {
			feedback = 0
		}
		weighted = append(weighted, detect.Weighted{Type: detect.Kind(a.Type), Strength: a.Score, LastSeen: a.LastSeen,
			Feedback: feedback, Reason: a.Reason, AnomalyID: a.ID})
	}
	return detect.Risk(weighted, at)
}

// newRisk makes the answer from the license's anomalies, its stored scores oldest first, and how much is known of it.
func newRisk(l *License, now time.Time, anomalies []Anomaly, history []DayScore, q DataQuality) *Risk {
	score := ScoreOf(anomalies, now)
	r := &Risk{
		LicenseID: l.ID, GeneratedAt: now, CalculatedAt: now, Window: LastDays(now, HistoryDays), DataQuality: q,
		RiskScore: score.Value, RiskLevel: score.Level, Probability: score.Probability, Confidence: q.Confidence,
		Factors: make([]RiskFactor, 0, len(score.Factors)), History: history,
	}
	for _, f := range score.Factors {
		r.Factors = append(r.Factors, RiskFactor{
			Type:         string(f.Type),
			Points:       f.Points,
			Weight:       f.Weight,
			Strength:     f.Strength,
			AgeHours:     f.AgeHours,
			HalfLifeDays: f.HalfLifeDays,
			Reason:       f.Reason,
			AnomalyID:    f.AnomalyID,
		})
	}
	weekAgo := DayOf(now).AddDate(0, 0, -7)
	for _, h := range history {
		if time.Time(h.Date).Equal(weekAgo) {
			r.Trend.WeekAgo = h.Score
		}
	}
	r.Trend.Change = r.RiskScore - r.Trend.WeekAgo
	return r
}
