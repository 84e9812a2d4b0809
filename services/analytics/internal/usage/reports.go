package usage

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// MaxDays is the longest window that can be asked for.
const MaxDays = 366

// Reports answers how licenses are used.
type Reports struct {
	store Store
	log   Log
	clock clock.Clock
}

// NewReports answers from store and log.
func NewReports(store Store, log Log, c clock.Clock) *Reports { return &Reports{store, log, c} }

// Window is the window of so many days that ends now.
func (r *Reports) Window(days int) Window { return LastDays(r.clock.Now(), days) }

// Patterns describes how the license was used in the last days.
func (r *Reports) Patterns(ctx context.Context, licenseID string, days int) (*Patterns, error) {
	l, err := find(ctx, r.store, licenseID)
	if err != nil {
		return nil, err
	}
	w := LastDays(r.clock.Now(), days)
	h, err := r.store.History(ctx, l, w)
	if err != nil {
		return nil, err
	}
	return newPatterns(w, h), nil
}

// Report answers one page of a usage report.
func (r *Reports) Report(ctx context.Context, q ReportQuery) (*Report, error) {
	facts, err := r.store.Report(ctx, q)
	if err != nil {
		return nil, err
	}
	return newReport(q, facts), nil
}

// EachLicense calls each for every license of a report, whatever its length.
func (r *Reports) EachLicense(ctx context.Context, q ReportQuery, each func(*LicenseUsage) error) error {
	for {
		page, err := r.store.Page(ctx, q)
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

// Dashboard is the state of the installation.
func (r *Reports) Dashboard(ctx context.Context) (*Dashboard, error) {
	now := r.clock.Now()
	overview, err := r.store.Overview(ctx, now)
	if err != nil {
		return nil, err
	}
	minutes, err := r.store.Fleet(ctx, StepMinute, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	hours, err := r.store.Fleet(ctx, StepHour, now.AddDate(0, 0, -15))
	if err != nil {
		return nil, err
	}
	return newDashboard(now, overview, minutes, hours), nil
}
