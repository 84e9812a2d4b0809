package api

import (
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// maxReported is how many counters one usage report may name.
const maxReported = 100

type usageReportResponse struct {
	ReportID   string    `json:"report_id"`
	LicenseID  string    `json:"license_id"`
	DeviceID   string    `json:"device_id"`
	HardwareID string    `json:"hardware_id"`
	ReceivedAt time.Time `json:"received_at"`
	// Counters are what they show afterwards, by their names.
	Counters map[string]wire.Counter `json:"counters"`
	// OverLimit are the counters that show more than their limits.
	OverLimit []string `json:"over_limit"`
}

func newUsageReportResponse(r *counter.Reported) usageReportResponse {
	resp := usageReportResponse{
		ReportID:   r.ReportID,
		LicenseID:  r.LicenseID,
		DeviceID:   r.DeviceID,
		HardwareID: r.HardwareID,
		ReceivedAt: r.ReceivedAt.UTC(),
		Counters:   wire.NewCounters(r.States),
		OverLimit:  []string{},
	}
	for i := range r.States {
		if r.States[i].OverageUsed > 0 {
			resp.OverLimit = append(resp.OverLimit, r.States[i].Counter)
		}
	}
	return resp
}

// usageReport counts what a machine without a network has consumed. The report names its license and device, and its
// signature takes the place of the license key.
func (a *API) usageReport(c *gin.Context) error {
	var req struct {
		UsageReport string `json:"usage_report" text:"key"`
	}
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	f.Require("usage_report", req.UsageReport)
	f.MaxLen("usage_report", req.UsageReport, file.MaxReportSize)
	if err := f.Err(); err != nil {
		return err
	}
	report, err := openReport(req.UsageReport)
	if err != nil {
		return err
	}
	report.BoundProduct = apikey.Of(c).Product
	done, err := a.Counters.Report(c.Request.Context(), report)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newUsageReportResponse(&done))
	return nil
}

// reportPayload is file.UsageReport as it is read: strictly, because a machine made it that nobody knows.
type reportPayload struct {
	Format     string           `json:"format"`
	ReportID   string           `json:"report_id" text:"identifier"`
	LicenseID  string           `json:"license_id" text:"identifier"`
	HardwareID string           `json:"hardware_id" text:"identifier"`
	Consumed   map[string]int64 `json:"consumed"`
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
}

// openReport reads the text of a report, whose last line break forms and terminals lose.
func openReport(text string) (counter.Report, error) {
	signed, err := file.ParseReport([]byte(text + "\n"))
	if err != nil {
		return counter.Report{}, apierr.InvalidField("usage_report", "is not a usage report, or was altered")
	}
	var p reportPayload
	if err := jsonbody.Decode(signed.Payload, &p); err != nil {
		return counter.Report{}, apierr.InvalidField("usage_report", "has a payload that is not the documented JSON")
	}
	if err := p.check(); err != nil {
		return counter.Report{}, err
	}
	return counter.Report{
		ID:         p.ReportID,
		LicenseID:  p.LicenseID,
		HardwareID: p.HardwareID,
		Consumed:   p.Consumed,
		From:       p.From,
		To:         p.To,
		Signed:     signed,
	}, nil
}

func (p *reportPayload) check() error {
	f := apierr.Fields{}
	if p.Format != file.ReportFormat {
		f.Add("usage_report.format", "must be "+file.ReportFormat)
	}
	for name, text := range map[string]string{
		"report_id": p.ReportID, "license_id": p.LicenseID, "hardware_id": p.HardwareID,
	} {
		f.Require("usage_report."+name, text)
		f.MaxLen("usage_report."+name, text, maxText)
	}
	if len(p.Consumed) == 0 || len(p.Consumed) > maxReported {
		f.Add("usage_report.consumed", fmt.Sprintf("must name 1 to %d counters", maxReported))
	}
	for name, amount := range p.Consumed {
		if amount < 0 || amount > licensing.MaxCount || utf8.RuneCountInString(name) > maxText {
			f.Add("usage_report.consumed", fmt.Sprintf("must have whole numbers from 0 to %d by the names of counters",
				licensing.MaxCount))
		}
	}
	if p.From.IsZero() || p.To.IsZero() {
		f.Add("usage_report.from", "is required, and to")
	}
	return f.Err()
}
