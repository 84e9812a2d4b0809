package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var anomalyTable = tableOf[anomalyRow]("anomalies")

type anomalyRow struct {
	AnomalyID    string  `col:"anomaly_id,uuid,key"`
	Subject      string  `col:"subject,text"`
	LicenseID    *string `col:"license_id,uuid"`
	Type         string  `col:"type,text"`
	Severity     string  `col:"severity,text"`
	Score        float64 `col:"score,double precision"`
	Status       string  `col:"status,text"`
	FirstSeen    stamp   `col:"first_seen,timestamptz"`
	DetectedAt   stamp   `col:"detected_at,timestamptz"`
	LastSeen     stamp   `col:"last_seen,timestamptz"`
	ClosedAt     stamp   `col:"closed_at,timestamptz"`
	Reason       string  `col:"reason,text"`
	Observed     string  `col:"observed,text"`
	Expected     db.JSON `col:"expected,jsonb"`
	BaselineDays int     `col:"baseline_days,integer"`
	Evidence     db.JSON `col:"evidence,jsonb"`
	Considered   db.JSON `col:"considered,jsonb"`
	Suggestion   string  `col:"suggestion,text"`
	Note         string  `col:"note,text"`
}

func newAnomalyRow(a *usage.Anomaly) (anomalyRow, error) {
	r := anomalyRow{
		AnomalyID: a.ID, Subject: a.Subject, Type: a.Type, Severity: a.Severity, Score: a.Score, Status: a.Status,
		FirstSeen: at(a.FirstSeen), DetectedAt: at(a.DetectedAt), LastSeen: at(a.LastSeen),
		Reason: a.Reason, Observed: a.Observed, BaselineDays: a.Baseline.Days, Suggestion: a.Suggestion, Note: a.Note,
	}
	if a.LicenseID != "" {
		r.LicenseID = &a.LicenseID
	}
	if a.ClosedAt != nil {
		r.ClosedAt = at(*a.ClosedAt)
	}
	var errs [3]error
	r.Expected, errs[0] = json.Marshal(a.Expected)
	r.Evidence, errs[1] = json.Marshal(a.Evidence)
	r.Considered, errs[2] = json.Marshal(a.Considered)
	return r, errors.Join(errs[:]...)
}

func (r *anomalyRow) anomaly() (usage.Anomaly, error) {
	a := usage.Anomaly{
		ID:         r.AnomalyID,
		Subject:    r.Subject,
		Type:       r.Type,
		Severity:   r.Severity,
		Score:      r.Score,
		Status:     r.Status,
		FirstSeen:  r.FirstSeen.utc(),
		DetectedAt: r.DetectedAt.utc(),
		LastSeen:   r.LastSeen.utc(),
		ClosedAt:   r.ClosedAt.orNil(),
		Reason:     r.Reason,
		Observed:   r.Observed,
		Baseline:   usage.Baseline{Days: r.BaselineDays},
		Suggestion: r.Suggestion,
		Note:       r.Note,
	}
	if r.LicenseID != nil {
		a.LicenseID = *r.LicenseID
	}
	return a, errors.Join(json.Unmarshal(r.Expected, &a.Expected), json.Unmarshal(r.Evidence, &a.Evidence),
		json.Unmarshal(r.Considered, &a.Considered))
}

func anomaliesOf(rows []anomalyRow) ([]usage.Anomaly, error) {
	anomalies := make([]usage.Anomaly, len(rows))
	for i := range rows {
		var err error
		if anomalies[i], err = rows[i].anomaly(); err != nil {
			return nil, fmt.Errorf("anomaly %s: %w", rows[i].AnomalyID, err)
		}
	}
	return anomalies, nil
}

// Record enters findings about a license that was looked at on request, after every commit under way, and returns how
// many of them were not known.
func (s *Store) Record(ctx context.Context, findings []detect.Finding, now time.Time) (created int, err error) {
	if len(findings) == 0 {
		return 0, nil
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if _, err := s.lock(tx); err != nil {
			return err
		}
		created, err = s.record(ctx, tx, findings, now)
		return err
	})
	return created, err
}

// Describe implements ingest.Store.
func (s *Store) Describe(ctx context.Context, now time.Time, epoch int64, findings []detect.Finding) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.hold(tx, epoch); err != nil {
			return err
		}
		_, err := s.record(ctx, tx, findings, now)
		return err
	}))
}

// record enters findings among the anomalies of their subjects, announces those that are new, and brings the risk of
// their licenses up to date.
func (s *Store) record(ctx context.Context, tx *gorm.DB, findings []detect.Finding, now time.Time) (int, error) {
	if len(findings) == 0 {
		return 0, nil
	}
	known, err := s.knownAnomalies(tx, findings, now)
	if err != nil {
		return 0, err
	}
	r := usage.Record(known, findings, now)
	if err := s.writeAnomalies(tx, r.Closed); err != nil {
		return 0, err
	}
	if err := s.writeAnomalies(tx, append(r.Updated, r.Created...)); err != nil {
		return 0, err
	}
	for _, a := range r.Created {
		if _, err := s.outbox.Add(ctx, tx, a.Subject, now, announcement(a)); err != nil {
			return 0, err
		}
	}
	licenses := map[string]bool{}
	for i := range findings {
		if id := findings[i].LicenseID; id != "" {
			licenses[id] = true
		}
	}
	return len(r.Created), s.rescore(tx, keysOf(licenses), now)
}

// knownAnomalies are those that the findings may continue.
func (s *Store) knownAnomalies(tx *gorm.DB, findings []detect.Finding, now time.Time) ([]usage.Anomaly, error) {
	subjects, since, addresses := map[string]bool{}, findings[0].FirstSeen, false
	for i := range findings {
		subjects[findings[i].Subject] = true
		if findings[i].LicenseID == "" {
			addresses, subjects[usage.OtherAddresses] = true, true
		}
		if findings[i].FirstSeen.Before(since) {
			since = findings[i].FirstSeen
		}
	}
	var rows, open []anomalyRow
	err := tx.Table("anomalies").
		Where("subject IN ? AND (closed_at IS NULL OR last_seen >= ?)", keysOf(subjects), since.Add(-usage.EpisodeGap)).
		Order("detected_at, anomaly_id").Find(&rows).Error
	if err == nil && addresses { // those of other addresses of their networks, and how many there are
		err = tx.Table("anomalies").
			Where("license_id IS NULL AND closed_at IS NULL AND last_seen > ? AND subject NOT IN ?",
				now.Add(-usage.EpisodeGap), keysOf(subjects)).
			Order("detected_at, anomaly_id").Limit(usage.MaxAddresses).Find(&open).Error
	}
	if err != nil {
		return nil, fmt.Errorf("read known anomalies: %w", err)
	}
	return anomaliesOf(append(rows, open...))
}

func (s *Store) writeAnomalies(tx *gorm.DB, anomalies []*usage.Anomaly) error {
	rows := make([]anomalyRow, len(anomalies))
	for i, a := range anomalies {
		var err error
		if rows[i], err = newAnomalyRow(a); err != nil {
			return err
		}
	}
	return anomalyTable.upsert(tx, s.db.Engine(), rows)
}

func announcement(a *usage.Anomaly) *eventsv1.AnomalyDetected {
	return &eventsv1.AnomalyDetected{
		AnomalyId:   a.ID,
		LicenseId:   a.LicenseID,
		AnomalyType: a.Type,
		Severity:    a.Severity,
		Score:       a.Score,
		Reason:      a.Reason,
		DetectedAt:  timestamppb.New(a.DetectedAt),
		Subject:     a.Subject,
	}
}

// Anomalies implements usage.Log.
func (s *Store) Anomalies(ctx context.Context, q usage.AnomalyQuery) ([]usage.Anomaly, error) {
	tx := s.db.Read(ctx).Table("anomalies").Order("detected_at DESC, anomaly_id DESC")
	for _, filter := range []struct{ condition, value string }{
		{"license_id = ?", q.LicenseID}, {"type = ?", q.Type}, {"status = ?", q.Status}, {"severity = ?", q.Severity},
	} {
		if filter.value != "" {
			tx = tx.Where(filter.condition, filter.value)
		}
	}
	if !q.Since.IsZero() {
		tx = tx.Where("detected_at >= ?", q.Since)
	}
	if !q.Before.DetectedAt.IsZero() {
		at := q.Before.DetectedAt
		tx = tx.Where("(detected_at < ? OR (detected_at = ? AND anomaly_id < ?))", at, at, q.Before.ID)
	}
	if q.Limit > 0 {
		tx = tx.Limit(q.Limit)
	}
	var rows []anomalyRow
	if err := tx.Find(&rows).Error; err != nil {
		return nil, db.Error(fmt.Errorf("read anomalies: %w", err))
	}
	return anomaliesOf(rows)
}

// ChangeAnomaly implements usage.Log.
func (s *Store) ChangeAnomaly(
	ctx context.Context, id string, now time.Time, change usage.AnomalyChange,
) (*usage.Anomaly, error) {
	var changed usage.Anomaly
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if _, err := s.lock(tx); err != nil {
			return err
		}
		var row anomalyRow
		err := tx.Table("anomalies").Where("anomaly_id = ?", id).Take(&row).Error
		if errors.Is(err, db.ErrNotFound) {
			return usage.ErrAnomalyNotFound
		}
		if err != nil {
			return err
		}
		if changed, err = row.anomaly(); err != nil {
			return err
		}
		if entry := change(&changed); entry != nil {
			if _, err := s.outbox.Add(ctx, tx, changed.Subject, now, entry); err != nil {
				return err
			}
		}
		if err := s.writeAnomalies(tx, []*usage.Anomaly{&changed}); err != nil || changed.LicenseID == "" {
			return err
		}
		return s.rescore(tx, []string{changed.LicenseID}, now)
	})
	return &changed, err
}

// CountAnomalies implements usage.Log.
func (s *Store) CountAnomalies(ctx context.Context, since time.Time) (open, recent int64, err error) {
	var n struct{ Open, Recent int64 }
	err = s.db.Read(ctx).Raw(`SELECT
		(SELECT count(*) FROM anomalies WHERE closed_at IS NULL AND status <> ?) AS open,
		(SELECT count(*) FROM anomalies WHERE detected_at >= ?) AS recent`,
		usage.StatusFalsePositive, since).Scan(&n).Error
	return n.Open, n.Recent, db.Error(err)
}

// CloseAnomalies closes those that have been silent long enough.
func (s *Store) CloseAnomalies(ctx context.Context, now time.Time) (closed int, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if _, err := s.lock(tx); err != nil {
			return err
		}
		var rows []anomalyRow
		err := tx.Table("anomalies").Where("closed_at IS NULL AND last_seen <= ?", now.Add(-usage.EpisodeGap)).
			Limit(1000).Find(&rows).Error
		if err != nil {
			return err
		}
		silent, err := anomaliesOf(rows)
		if err != nil {
			return err
		}
		r := usage.Record(silent, nil, now)
		closed = len(r.Closed)
		return s.writeAnomalies(tx, r.Closed)
	})
	return closed, err
}
