package usage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// MaxDays is the longest window that can be asked for.
const MaxDays = 366

// maxChecked bounds the events that one detection reads.
const maxChecked = 200_000

// Service answers questions about use and abuse.
type Service struct {
	store  Store
	log    Log
	engine detect.Engine
	clock  clock.Clock
}

// NewService answers from store and log, and detects with engine.
func NewService(store Store, log Log, engine detect.Engine, c clock.Clock) *Service {
	return &Service{store, log, engine, c}
}

// Patterns describes how the license was used in the last days.
func (s *Service) Patterns(ctx context.Context, licenseID string, days int) (*Patterns, error) {
	l, err := s.license(ctx, licenseID)
	if err != nil {
		return nil, err
	}
	w := LastDays(s.clock.Now(), days)
	h, err := s.store.History(ctx, l, w)
	if err != nil {
		return nil, err
	}
	return NewPatterns(w, h), nil
}

// Report answers one page of a usage report.
func (s *Service) Report(ctx context.Context, q ReportQuery) (*Report, error) {
	facts, err := s.store.Report(ctx, q)
	if err != nil {
		return nil, err
	}
	return newReport(q, facts), nil
}

// EachLicense calls each for every license of a report, whatever its length.
func (s *Service) EachLicense(ctx context.Context, q ReportQuery, each func(*LicenseUsage) error) error {
	for {
		page, err := s.store.Page(ctx, q)
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
		q.After = page[len(page)-1].LicenseID
	}
}

// Window is the window of so many days that ends now.
func (s *Service) Window(days int) Window { return LastDays(s.clock.Now(), days) }

// Dashboard is the state of the installation.
func (s *Service) Dashboard(ctx context.Context) (*Dashboard, error) {
	now := s.clock.Now()
	overview, err := s.store.Overview(ctx, now)
	if err != nil {
		return nil, err
	}
	minutes, err := s.store.Fleet(ctx, StepMinute, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	hours, err := s.store.Fleet(ctx, StepHour, now.AddDate(0, 0, -15))
	if err != nil {
		return nil, err
	}
	return newDashboard(now, overview, minutes, hours), nil
}

// Risk is the license's risk score now.
func (s *Service) Risk(ctx context.Context, licenseID string) (*Risk, error) {
	l, err := s.license(ctx, licenseID)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	w := LastDays(now, HistoryDays)
	anomalies, err := s.log.Anomalies(ctx, AnomalyQuery{LicenseID: l.ID})
	if err != nil {
		return nil, err
	}
	history, err := s.store.Scores(ctx, l.ID, w.From)
	if err != nil {
		return nil, err
	}
	q, err := s.quality(ctx, l, w)
	if err != nil {
		return nil, err
	}
	return newRisk(l, now, anomalies, history, q), nil
}

func (s *Service) quality(ctx context.Context, l *License, w Window) (DataQuality, error) {
	days, err := s.store.Days(ctx, l.ID, w.From)
	if err != nil {
		return DataQuality{}, err
	}
	return quality(w, eventsIn(w, days), l.FirstEventAt), nil
}

// Detect runs the detectors over the license's stored events and records what they find. Asked again it finds the same.
func (s *Service) Detect(ctx context.Context, licenseID string, d Detection) (*Detected, error) {
	l, err := s.license(ctx, licenseID)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if d, err = d.bounded(now); err != nil {
		return nil, err
	}
	findings, checked, err := s.find(ctx, l, d)
	if err != nil {
		return nil, err
	}
	created, err := s.log.Record(ctx, findings, now)
	if err != nil {
		return nil, err
	}
	anomalies, err := s.log.Anomalies(ctx, AnomalyQuery{LicenseID: l.ID})
	if err != nil {
		return nil, err
	}
	days := int(DayOf(d.To).Sub(DayOf(d.From))/(24*time.Hour)) + 1
	w := Window{d.From, d.To, days}
	score := ScoreOf(anomalies, now)
	checked.TookMS = float64(s.clock.Now().Sub(now).Microseconds()) / 1000
	return &Detected{
		LicenseID: l.ID, GeneratedAt: now, Window: w, DataQuality: quality(w, int64(checked.Events), l.FirstEventAt),
		Checked: checked, Anomalies: within(anomalies, d), New: created, RiskScore: score.Value, RiskLevel: score.Level,
	}, nil
}

// bounded fills in the span that is checked when none is asked for.
func (d Detection) bounded(now time.Time) (Detection, error) {
	if d.To.IsZero() || d.To.After(now) {
		d.To = now
	}
	if d.From.IsZero() {
		d.From = d.To.AddDate(0, 0, -30)
	}
	switch {
	case !d.From.Before(d.To):
		return d, apierr.InvalidField("from", "must lie before to")
	case d.To.Sub(d.From) > MaxDays*24*time.Hour:
		return d, apierr.InvalidField("from", "must lie at most 366 days before to")
	}
	return d, nil
}

func (s *Service) find(ctx context.Context, l *License, d Detection) ([]detect.Finding, Checked, error) {
	engine, state, license := s.engine.WithSensitivity(d.Sensitivity), &detect.LicenseState{}, l.Detectable()
	checked := Checked{From: d.From, To: d.To}
	var findings []detect.Finding
	err := s.log.Events(ctx, l.ID, d.From, d.To, func(e *Event) error {
		if checked.Events++; checked.Events > maxChecked {
			return apierr.InvalidField("from", "the span holds more than 200000 events; choose a shorter one")
		}
		findings = append(findings, engine.License(state, license, e.Observation)...)
		return nil
	})
	return findings, checked, err
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

// Anomalies lists anomalies, newest first.
func (s *Service) Anomalies(ctx context.Context, q AnomalyQuery) ([]Anomaly, error) {
	return s.log.Anomalies(ctx, q)
}

// Judge notes what by says about an anomaly.
func (s *Service) Judge(ctx context.Context, by *rpcv1.Actor, id string, j Judgement) (*Anomaly, error) {
	id, ok := canonical(id)
	if !ok {
		return nil, ErrAnomalyNotFound
	}
	now := s.clock.Now()
	return s.log.ChangeAnomaly(ctx, id, now, func(a *Anomaly) *eventsv1.AuditRecorded { return a.judge(by, j, now) })
}

func (s *Service) license(ctx context.Context, id string) (*License, error) {
	id, ok := canonical(id)
	if !ok {
		return nil, ErrLicenseNotFound
	}
	return s.store.License(ctx, id)
}

// canonical is the id in the usual notation of UUIDs, and whether it is one.
func canonical(id string) (string, bool) {
	parsed, err := uuid.Parse(id)
	return parsed.String(), err == nil && len(id) == 36
}
