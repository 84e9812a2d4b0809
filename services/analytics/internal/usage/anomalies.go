package usage

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// maxChecked bounds the events that one detection reads: the heartbeats of four devices in a month, and some.
const maxChecked = 200_000

// Anomalies are the use cases of what looks like abuse: it is found and judged, and tells how risky licenses are.
type Anomalies struct {
	Store  Store
	Log    Log
	Engine detect.Engine
	Clock  clock.Clock
}

// Judge notes what by says about an anomaly. What that does to the risk of later findings is detect.Feedback
// (detect/risk.go).
func (a *Anomalies) Judge(ctx context.Context, by *rpcv1.Actor, id string, j Judgment) (*Anomaly, error) {
	id, ok := uid.Parse(id)
	if !ok {
		return nil, ErrAnomalyNotFound
	}
	now := a.Clock.Now()
	return a.Log.ChangeAnomaly(ctx, id, now, func(found *Anomaly) *eventsv1.AuditRecorded {
		return found.judge(by, j, now)
	})
}

// Detect runs the detectors over the license's stored events and records what they find. Asked again it finds the same.
func (a *Anomalies) Detect(ctx context.Context, licenseID string, d Detection) (*Detected, error) {
	l, err := find(ctx, a.Store, licenseID)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	if d, err = a.bounded(ctx, l, d, now); err != nil {
		return nil, err
	}
	findings, checked, err := a.detect(ctx, l, d)
	if err != nil {
		return nil, err
	}
	created, err := a.Log.Record(ctx, findings, now)
	if err != nil {
		return nil, err
	}
	anomalies, err := a.Log.Anomalies(ctx, AnomalyQuery{LicenseID: l.ID})
	if err != nil {
		return nil, err
	}
	days := int(DayOf(d.To).Sub(DayOf(d.From))/(24*time.Hour)) + 1
	w := Window{d.From, d.To, days}
	score := ScoreOf(anomalies, now)
	checked.TookMS = max(0, float64(a.Clock.Now().Sub(now).Microseconds())/1000) // the clock may be set back
	return &Detected{
		LicenseID: l.ID, GeneratedAt: now, Window: w, DataQuality: quality(w, int64(checked.Events), l.FirstEventAt),
		Checked: checked, Anomalies: within(anomalies, d), New: created, RiskScore: score.Value, RiskLevel: score.Level,
	}, nil
}

// bounded fills in the span that is checked when none is asked for: then the newest events have to do where it holds
// too many, as nobody could know.
func (a *Anomalies) bounded(ctx context.Context, l *License, d Detection, now time.Time) (Detection, error) {
	if d.To.IsZero() || d.To.After(now) {
		d.To = now
	}
	if d.From.IsZero() {
		month := d.To.AddDate(0, 0, -30)
		from, err := a.Log.NewestFrom(ctx, l.ID, month, d.To, maxChecked)
		d.From, d.newest = from, from.After(month)
		return d, err
	}
	switch {
	case !d.From.Before(d.To):
		return d, apierr.InvalidField("from", "must lie before to")
	case d.To.Sub(d.From) > MaxDays*24*time.Hour:
		return d, apierr.InvalidField("from", "must lie at most 366 days before to")
	}
	return d, nil
}

func (a *Anomalies) detect(ctx context.Context, l *License, d Detection) ([]detect.Finding, Checked, error) {
	engine, state, license := a.Engine.WithSensitivity(d.Sensitivity), &detect.LicenseState{}, l.Detectable()
	checked := Checked{From: d.From, To: d.To, Truncated: d.newest}
	snapshot, err := a.Log.SnapshotAt(ctx, l.ID, d.From)
	if err != nil {
		return nil, checked, err
	}
	if snapshot != nil {
		license.Slots = snapshot.Slots
	}
	var findings []detect.Finding
	err = a.Log.Events(ctx, l.ID, d.From, d.To, func(e *Event) error {
		if checked.Events++; checked.Events > maxChecked && !d.newest { // a few may have come since bounded
			return apierr.InvalidField("from", "the span holds more than 200000 events; choose a shorter one")
		}
		for _, f := range append(engine.License(state, license, e.Observation), state.Grown()...) {
			findings = latest(findings, f)
		}
		return nil
	})
	return findings, checked, err
}

// latest adds what is said last of each finding. A finding is as grave as it ever was.
func latest(findings []detect.Finding, f detect.Finding) []detect.Finding {
	i := slices.IndexFunc(findings, func(g detect.Finding) bool { return g.Key == f.Key })
	if i < 0 {
		return append(findings, f)
	}
	f.Status = findings[i].Status
	if g := &findings[i]; g.Score > f.Score {
		f.Score, f.Severity = g.Score, g.Severity
	}
	findings[i] = f
	return findings
}

func within(anomalies []Anomaly, d Detection) []Anomaly {
	found := []Anomaly{}
	for _, a := range anomalies {
		if !a.FirstSeen.After(d.To) && !a.LastSeen.Before(d.From) {
			found = append(found, a)
		}
	}
	return found
}

// Risk is the license's risk score now.
func (a *Anomalies) Risk(ctx context.Context, licenseID string) (*Risk, error) {
	l, err := find(ctx, a.Store, licenseID)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	w := LastDays(now, HistoryDays)
	anomalies, err := a.Log.Anomalies(ctx, AnomalyQuery{LicenseID: l.ID})
	if err != nil {
		return nil, err
	}
	history, err := a.Store.Scores(ctx, l.ID, w.From)
	if err != nil {
		return nil, err
	}
	q, err := a.quality(ctx, l, w)
	if err != nil {
		return nil, err
	}
	return newRisk(l, now, anomalies, history, q), nil
}

func (a *Anomalies) quality(ctx context.Context, l *License, w Window) (DataQuality, error) {
	days, err := a.Store.Days(ctx, l.ID, w.From)
	if err != nil {
		return DataQuality{}, err
	}
	return quality(w, eventsIn(w, days), l.FirstEventAt), nil
}
