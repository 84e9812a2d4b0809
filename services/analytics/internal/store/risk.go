package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// riskMemory is how long an anomaly can weigh on a risk score: far more than the half-life of evidence
// (detect/risk.go).
const riskMemory = 360 * 24 * time.Hour

var scoreTable = tableOf[scoreRow]("risk_scores")

type scoreRow struct {
	LicenseID string `col:"license_id,uuid,key"`
	Day       stamp  `col:"day,timestamptz,key"`
	Score     int    `col:"score,integer"`
}

// rescore computes the licenses' risk as of now and keeps it as that of the day.
func (s *Store) rescore(tx *gorm.DB, licenses []string, now time.Time) error {
	if len(licenses) == 0 {
		return nil
	}
	var found []anomalyRow
	err := tx.Table("anomalies").Where("license_id IN ? AND last_seen >= ?", licenses, now.Add(-riskMemory)).
		Order("detected_at, anomaly_id").Find(&found).Error
	if err != nil {
		return fmt.Errorf("read anomalies: %w", err)
	}
	anomalies, err := anomaliesOf(found)
	if err != nil {
		return err
	}
	of := map[string][]usage.Anomaly{}
	for _, a := range anomalies {
		of[a.LicenseID] = append(of[a.LicenseID], a)
	}
	rows := make([]scoreRow, len(licenses))
	for i, id := range licenses {
		rows[i] = scoreRow{id, at(usage.DayOf(now)), usage.ScoreOf(of[id], now).Value}
		if err := tx.Exec(`UPDATE licenses SET risk_score = ? WHERE license_id = ?`,
			rows[i].Score, id).Error; err != nil {
			return fmt.Errorf("keep the risk of a license: %w", err)
		}
	}
	return scoreTable.upsert(tx, s.db.Engine(), rows)
}

// RescoreAfter brings the risk of the next licenses up to date that have one or had anomalies, in the order of their
// ids. It returns the id to go on after, or "" when these were the last.
func (s *Store) RescoreAfter(ctx context.Context, after string, now time.Time) (next string, err error) {
	const page = 500
	if after == "" {
		after = "00000000-0000-0000-0000-000000000000"
	}
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var ids []string
		err := tx.Raw(`SELECT license_id FROM licenses WHERE license_id > ? AND (risk_score > 0
			OR license_id IN (SELECT license_id FROM anomalies WHERE last_seen >= ? AND license_id IS NOT NULL))
			ORDER BY license_id LIMIT ?`, after, now.Add(-riskMemory), page).Scan(&ids).Error
		if err != nil {
			return err
		}
		if next = ""; len(ids) == page {
			next = ids[page-1]
		}
		return s.rescore(tx, ids, now)
	})
	return next, err
}

// Scores implements usage.Store.
func (s *Store) Scores(ctx context.Context, licenseID string, from time.Time) ([]usage.DayScore, error) {
	var rows []scoreRow
	err := s.db.Read(ctx).Table("risk_scores").Where("license_id = ? AND day >= ?", licenseID, from).
		Order("day").Find(&rows).Error
	scores := make([]usage.DayScore, len(rows))
	for i, r := range rows {
		scores[i] = usage.DayScore{Date: usage.Date(r.Day.utc()), Score: r.Score}
	}
	return scores, db.Error(err)
}

// keysOf is the sorted keys of a set.
func keysOf(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
