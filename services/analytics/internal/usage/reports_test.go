package usage

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// sums counts how often the figures of all licenses are read.
type sums struct {
	Store
	read int
}

func (s *sums) Report(context.Context, ReportQuery) (*ReportFacts, error) {
	s.read++
	return &ReportFacts{Totals: Totals{Licenses: int64(s.read)}}, nil
}

func (s *sums) Page(_ context.Context, q ReportQuery) ([]LicenseUsage, error) {
	return make([]LicenseUsage, q.Limit), nil
}

// TestFurtherPagesReadNoTotals: figures of all licenses are read once for the pages of a report, not for another
// report, and anew for one that begins, or that lasts.
func TestFurtherPagesReadNoTotals(t *testing.T) {
	s, now := &sums{}, clock.NewFake(time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC))
	r := &Reports{Store: s, Clock: now}
	for _, step := range []struct {
		name  string
		q     ReportQuery
		later time.Duration
		want  int64
	}{
		{"first page", ReportQuery{}, 0, 1},
		{"second page", ReportQuery{After: "a"}, time.Second, 1},
		{"third page", ReportQuery{After: "b"}, 58 * time.Second, 1},
		{"after a minute", ReportQuery{After: "c"}, time.Second, 2},
		{"first page again", ReportQuery{}, 0, 3},
		{"a customer", ReportQuery{After: "a", CustomerID: "acme"}, 0, 4},
		{"page of the customer", ReportQuery{After: "b", CustomerID: "acme"}, 0, 4},
		{"another window", ReportQuery{After: "b", CustomerID: "acme", Window: r.Window(7)}, 0, 5},
	} {
		now.Advance(step.later)
		if step.q.Limit = 2; step.q.Window.From.IsZero() {
			step.q.Window = r.Window(30)
		}
		got, err := r.Report(t.Context(), step.q)
		if err != nil || got.Totals.Licenses != step.want || len(got.ByLicense) != 2 || got.NextCursor == nil {
			t.Errorf("%s: %+v, %v, want reading %d", step.name, got, err, step.want)
		}
	}
}
