package usage

import (
	"context"
	"time"
)

// Figures are those of one license beside its administration.
type Figures struct {
	ValidationsTotal, Validations24h, Failures24h int64
	// LastValidatedAt is zero for one never validated.
	LastValidatedAt time.Time
	RiskScore       int
}

// DayUsage is one day of a license.
type DayUsage struct {
	Date time.Time
	Counts
	UniqueDevices int
}

// FleetFigures are those of the whole installation.
type FleetFigures struct {
	Validations24h, Failures24h int64
	AnomaliesOpen, Anomalies24h int64
}

// Figures of one license.
func (r *Reports) Figures(ctx context.Context, licenseID string) (*Figures, error) {
	l, err := find(ctx, r.Store, licenseID)
	if err != nil {
		return nil, err
	}
	now := r.Clock.Now()
	recent, err := r.Log.CountSince(ctx, l.ID, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	anomalies, err := r.Log.Anomalies(ctx, AnomalyQuery{LicenseID: l.ID})
	if err != nil {
		return nil, err
	}
	return &Figures{
		ValidationsTotal: l.Validations,
		Validations24h:   recent.Validations,
		Failures24h:      recent.Failures,
		LastValidatedAt:  l.LastValidatedAt,
		RiskScore:        ScoreOf(anomalies, now).Value,
	}, nil
}

// Usage is one row per day of the last days, oldest first, days without use included; and the sum, whose devices are
// distinct over the whole span.
func (r *Reports) Usage(ctx context.Context, licenseID string, days int) (total DayUsage, daily []DayUsage, err error) {
	l, err := find(ctx, r.Store, licenseID)
	if err != nil {
		return total, nil, err
	}
	w := LastDays(r.Clock.Now(), days)
	h, err := r.Store.History(ctx, l, w)
	if err != nil {
		return total, nil, err
	}
	rows := map[time.Time]*DayUsage{}
	daily = make([]DayUsage, days)
	for i, date := range w.Dates() {
		daily[i].Date, daily[i].UniqueDevices = date, h.Use.On(date)
		rows[date] = &daily[i]
	}
	for i := range h.Days {
		if row := rows[h.Days[i].Day]; row != nil {
			row.Counts = h.Days[i].Counts
			total.Counts.Add(row.Counts)
		}
	}
	total.UniqueDevices = len(h.Use.Uses)
	return total, daily, nil
}

// FleetFigures of the whole installation.
func (r *Reports) FleetFigures(ctx context.Context) (*FleetFigures, error) {
	since := r.Clock.Now().Add(-24 * time.Hour)
	minutes, err := r.Store.Fleet(ctx, StepMinute, since)
	if err != nil {
		return nil, err
	}
	open, recent, err := r.Log.CountAnomalies(ctx, since)
	if err != nil {
		return nil, err
	}
	counts := sum(minutes, since)
	return &FleetFigures{counts.Validations, counts.Failures, open, recent}, nil
}
