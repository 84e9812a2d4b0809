package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/api"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// pages answers three pages of a report, the last with fewer rows, and notes how long each query may take.
type pages struct {
	usage.Store
	broken    bool // the second page fails
	deadlines []time.Time
}

// Page implements usage.Store.
func (p *pages) Page(ctx context.Context, q usage.ReportQuery) ([]usage.LicenseUsage, error) {
	deadline, _ := ctx.Deadline()
	p.deadlines = append(p.deadlines, deadline)
	if n := len(p.deadlines); n == 2 && p.broken {
		return nil, errors.New("the database went away")
	} else if n < 3 {
		return make([]usage.LicenseUsage, q.Limit), nil
	}
	return make([]usage.LicenseUsage, 1), nil
}

// export asks a real server for the CSV report of p.
func export(t *testing.T, p *pages) (lines int, err error) {
	engine := httpx.NewEngine(httpx.Options{Service: "analytics"})
	api.New(api.Deps{
		Reports:       &usage.Reports{Store: p, Clock: clock.NewFake(now)},
		RequireAPIKey: func(*gin.Context) {},
	}).Routes(engine)
	server := httptest.NewServer(engine)
	defer server.Close()
	res, err := http.Get(server.URL + "/api/v1/analytics/reports/usage?format=csv")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return strings.Count(string(body), "\n"), err
}

// TestCSVHasTimeForEachPage: a report of any length arrives whole, because the time of a request holds for a page.
func TestCSVHasTimeForEachPage(t *testing.T) {
	p := &pages{}
	lines, err := export(t, p)
	if err != nil || lines != 2002 {
		t.Errorf("%d lines of 2002: %v", lines, err)
	}
	for i := 1; i < len(p.deadlines); i++ {
		if !p.deadlines[i].After(p.deadlines[i-1]) {
			t.Errorf("page %d has to be there at %v, the one before at %v", i, p.deadlines[i], p.deadlines[i-1])
		}
	}
}

// TestCSVThatBreaksOffIsNotWhole: the client of a report that fails on its way does not take half of it for the whole.
func TestCSVThatBreaksOffIsNotWhole(t *testing.T) {
	lines, err := export(t, &pages{broken: true})
	if !errors.Is(err, io.ErrUnexpectedEOF) || lines == 0 {
		t.Errorf("%d lines and then %v", lines, err)
	}
}
