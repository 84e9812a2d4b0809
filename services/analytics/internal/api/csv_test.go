package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
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

// exporter is a real server for the CSV report of what a store has. Its callers name their API keys.
func exporter(t *testing.T, s usage.Store) (url string) {
	engine := httpx.NewEngine(httpx.Options{Service: "analytics"})
	api.New(api.Deps{
		Reports:       &usage.Reports{Store: s, Clock: clock.NewFake(now)},
		RequireAPIKey: func(c *gin.Context) { httpx.SetCaller(c, &apikey.Key{ID: c.GetHeader("X-API-Key")}) },
	}).Routes(engine)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	return server.URL + "/api/v1/analytics/reports/usage?format=csv"
}

// export reads the CSV report of p.
func export(t *testing.T, p *pages) (lines int, err error) {
	res, err := http.Get(exporter(t, p))
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

// paused answers one page, once it may.
type paused struct {
	usage.Store
	asked chan struct{}
	may   chan struct{}
}

// Page implements usage.Store.
func (p *paused) Page(ctx context.Context, _ usage.ReportQuery) ([]usage.LicenseUsage, error) {
	p.asked <- struct{}{}
	select {
	case <-p.may:
	case <-ctx.Done():
	}
	return nil, ctx.Err()
}

// TestCSVForAKeyIsBounded: slow readers of one key do not take every connection, and are no matter to other keys.
func TestCSVForAKeyIsBounded(t *testing.T) {
	p := &paused{asked: make(chan struct{}, 10), may: make(chan struct{})}
	url := exporter(t, p)
	ask := func(key string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Error(err)
			return &http.Response{}
		}
		req.Header.Set("X-API-Key", key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return &http.Response{}
		}
		_ = res.Body.Close()
		return res
	}
	var slow sync.WaitGroup
	for _, key := range []string{"a", "a", "b"} {
		slow.Go(func() {
			if res := ask(key); res.StatusCode != http.StatusOK {
				t.Errorf("key %s: %d", key, res.StatusCode)
			}
		})
	}
	for range 3 {
		<-p.asked
	}
	third := make(chan *http.Response, 1)
	slow.Go(func() { third <- ask("a") })
	select {
	case <-p.asked:
		t.Error("a third report at a time is begun")
	case res := <-third:
		if after := res.Header.Get("Retry-After"); res.StatusCode != http.StatusTooManyRequests || after != "60" {
			t.Errorf("a third report at a time: %d, Retry-After %q", res.StatusCode, after)
		}
	}
	close(p.may)
	slow.Wait()
	if res := ask("a"); res.StatusCode != http.StatusOK {
		t.Errorf("after the others: %d", res.StatusCode)
	}
}
