package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const (
	// seenAgain is how often the writer of sightings notes that it works, seenLapse after what silence sightings count
	// as not written.
	seenAgain = 15 * time.Second
	seenLapse = time.Minute
	// seenKept is for how long periods are remembered: licenses allow a year of idleness, and there are gaps.
	seenKept = 2 * 365 * 24 * time.Hour
)

// seenPeriod mirrors the table seen_periods.
type seenPeriod struct {
	BeganAt, Until time.Time
}

// goOn notes that sightings were written until now, by whichever replica.
func (s *Seen) goOn(ctx context.Context, now time.Time) error {
	const renew = `UPDATE seen_periods SET until = CASE WHEN until < @now THEN @now ELSE until END
		WHERE until BETWEEN @lapsed AND @ahead`
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		res := tx.Exec(renew, map[string]any{"now": now, "lapsed": now.Add(-seenLapse), "ahead": now.Add(seenLapse)})
		if res.Error != nil || res.RowsAffected > 0 {
			return res.Error
		}
		begun := seenPeriod{BeganAt: now, Until: now}
		begin := tx.Table("seen_periods").Clauses(clause.OnConflict{DoNothing: true})
		if err := begin.Create(&begun).Error; err != nil {
			return err
		}
		return tx.Exec("DELETE FROM seen_periods WHERE until < ?", now.Add(-seenKept)).Error
	})
}

// seenPeriods are those that began before a time, the latest first. They may overlap, as several replicas begin them.
type seenPeriods []seenPeriod

func readSeenPeriods(read *gorm.DB, now time.Time) (periods seenPeriods, err error) {
	err = read.Table("seen_periods").Where("began_at < ?", now).Order("until DESC, began_at").Find(&periods).Error
	return periods, err
}

// idleSince is the time since when sightings were written for as long as idle; zero where they were not.
func (p seenPeriods) idleSince(idle time.Duration, now time.Time) time.Time {
	end := now
	for _, period := range p {
		until := period.Until
		if until.After(end) || now.Sub(until) <= seenLapse {
			until = end
		}
		seen := until.Sub(period.BeganAt)
		switch {
		case seen >= idle:
			return until.Add(-idle)
		case seen > 0:
			idle, end = idle-seen, period.BeganAt
		}
	}
	return time.Time{}
}
