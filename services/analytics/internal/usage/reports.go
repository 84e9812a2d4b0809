package usage

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// MaxDays is the longest window that can be asked for.
const MaxDays = 366

// Reports answers how licenses are used.
type Reports struct {
	Store Store
	Log   Log
	Clock clock.Clock
	// Retention is how long received events are kept, 0 forever.
	Retention time.Duration

	overviews overviews
	// reported is what the last report told of all its pages.
	reported atomic.Pointer[reported]
}

// reported are the facts of a report, which are read only.
type reported struct {
	*ReportFacts
	from       time.Time
	customerID string
	at         time.Time
}

// reportedFor is how long the further pages of a report have the figures of all from an earlier one: to read them goes
// through all licenses and devices, as often as there are pages.
const reportedFor = time.Minute

// Window is the window of so many days that ends now.
func (r *Reports) Window(days int) Window { return LastDays(r.Clock.Now(), days) }

// Patterns describes how the license was used in the last days.
func (r *Reports) Patterns(ctx context.Context, licenseID string, days int) (*Patterns, error) {
	l, err := find(ctx, r.Store, licenseID)
	if err != nil {
		return nil, err
	}
	w := LastDays(r.Clock.Now(), days)
	h, err := r.Store.History(ctx, l, w)
	if err != nil {
		return nil, err
	}
	devices := newDeviceTally(w, h)
	if err := r.Store.Devices(ctx, l.ID, devices.add); err != nil {
		return nil, err
	}
	return newPatterns(w, h, devices), nil
}

// Report answers one page of a usage report.
func (r *Reports) Report(ctx context.Context, q ReportQuery) (*Report, error) {
	facts, err := r.facts(ctx, q)
	if err != nil {
		return nil, err
	}
	page, err := r.Store.Page(ctx, q)
	if err != nil {
		return nil, err
	}
	return newReport(q, facts, page), nil
}

// facts are what all pages of a report tell. The first page reads them anew.
func (r *Reports) facts(ctx context.Context, q ReportQuery) (*ReportFacts, error) {
	now := r.Clock.Now()
	if k := r.reported.Load(); q.After != "" && k != nil && k.customerID == q.CustomerID &&
		k.from.Equal(q.Window.From) && now.Sub(k.at).Abs() < reportedFor {
		return k.ReportFacts, nil
	}
	facts, err := r.Store.Report(ctx, q)
	if err == nil {
		r.reported.Store(&reported{facts, q.Window.From, q.CustomerID, now})
	}
	return facts, err
}

// Dashboard is the state of the installation.
func (r *Reports) Dashboard(ctx context.Context) (*Dashboard, error) {
	now := r.Clock.Now()
	overview, err := r.overviews.load(ctx, func(ctx context.Context) (*Overview, error) {
		return r.Store.Overview(ctx, now)
	})
	if err != nil {
		return nil, err
	}
	minutes, err := r.Store.Fleet(ctx, StepMinute, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	hours, err := r.Store.Fleet(ctx, StepHour, now.AddDate(0, 0, -15))
	if err != nil {
		return nil, err
	}
	return newDashboard(now, overview, minutes, hours), nil
}
