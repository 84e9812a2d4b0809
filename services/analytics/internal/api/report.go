package api

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (a *API) dashboard(c *gin.Context) error {
	d, err := a.Reports.Dashboard(c.Request.Context())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, d)
	return nil
}

func (a *API) report(c *gin.Context) error {
	q, err := a.reportQuery(c)
	if err != nil {
		return err
	}
	format, err := httpx.QueryIdentifier(c, "format", 10)
	switch {
	case err != nil:
		return err
	case format == "csv":
		return a.reportCSV(c, q)
	case format != "" && format != "json":
		return apierr.InvalidField("format", "must be json or csv")
	}
	r, err := a.Reports.Report(c.Request.Context(), q)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, r)
	return nil
}

func (a *API) reportQuery(c *gin.Context) (q usage.ReportQuery, err error) {
	days, err := httpx.QueryInt(c, "days", defaultDays, 1, usage.MaxDays)
	if err != nil {
		return q, err
	}
	if q.Limit, err = httpx.QueryInt(c, "limit", defaultLimit, 1, maxLimit); err != nil {
		return q, err
	}
	if q.CustomerID, err = httpx.QueryIdentifier(c, "customer_id", 255); err != nil {
		return q, err
	}
	if q.After, err = httpx.QueryIdentifier(c, "cursor", 36); err != nil {
		return q, err
	}
	if q.After != "" && !uid.Is(q.After) {
		return q, errCursor
	}
	q.Window = a.Reports.Window(days)
	return q, nil
}

var errCursor = apierr.InvalidField("cursor", "must be the next_cursor of an earlier answer")

// maxExports bounds the CSV reports that are sent to one API key at a time. Each may take hours, and it is its reader
// who decides that, and holds a connection and a page in memory.
const maxExports = 2

var errExports = apierr.New(apierr.RateLimited, errcode.RateLimitExceeded, fmt.Sprintf(
	"this API key is being sent %d reports as CSV; read them to their end, or close their connections", maxExports)).
	WithRetryAfter(time.Minute)

// exports counts the CSV reports that are being sent, by API key.
type exports struct {
	mu sync.Mutex
	of map[string]int
}

func (e *exports) begin(key string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of[key] == maxExports {
		return errExports
	}
	e.of[key]++
	return nil
}

func (e *exports) end(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of[key]--; e.of[key] == 0 {
		delete(e.of, key)
	}
}

// reportCSV writes all licenses, page by page, each in a time of its own. The status is sent with the first row: a
// failure after that cuts the file off, which the client notices because the transfer ends without its end.
func (a *API) reportCSV(c *gin.Context, q usage.ReportQuery) error {
	key := apikey.Of(c).ID
	if err := a.exports.begin(key); err != nil {
		return err
	}
	defer a.exports.end(key)
	q.Limit = maxLimit
	page, err := a.Reports.Store.Page(c.Request.Context(), q)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "text/csv; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="latchkey-usage.csv"`)
	w := csv.NewWriter(c.Writer)
	err = w.Write([]string{"license_id", "customer_id", "validations", "failures", "devices", "max_devices",
		"peak_concurrent", "utilisation", "last_seen", "risk_score", "anomalies", "expires_at", "slots"})
	for err == nil {
		if err = writeRows(w, page); err != nil || len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].LicenseID
		httpx.Renew(c, longWork)
		page, err = a.Reports.Store.Page(c.Request.Context(), q)
	}
	w.Flush()
	if err = cmp.Or(err, w.Error()); err != nil {
		httpx.Report(c.Request.Context(), err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func writeRows(w *csv.Writer, page []usage.LicenseUsage) error {
	for i := range page {
		if err := w.Write(csvRow(&page[i])); err != nil {
			return err
		}
	}
	return nil
}

func csvRow(l *usage.LicenseUsage) []string {
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	limit := ""
	if l.MaxDevices != nil {
		limit = strconv.Itoa(*l.MaxDevices)
	}
	return []string{
		l.LicenseID, harmless(l.CustomerID), count(l.Validations), count(l.Failures), count(l.Devices), limit,
		strconv.Itoa(l.PeakConcurrent), strconv.FormatFloat(l.Utilization, 'f', -1, 64), csvTime(l.LastSeen),
		strconv.Itoa(l.RiskScore), count(l.Anomalies), csvTime(l.ExpiresAt), strconv.Itoa(l.Slots),
	}
}

// harmless keeps spreadsheets from taking text for a formula.
func harmless(s string) string {
	if strings.IndexAny(s, "=+-@\t\r") == 0 {
		return "'" + s
	}
	return s
}

func csvTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
