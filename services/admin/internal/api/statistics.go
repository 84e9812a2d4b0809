package api

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// partDeadline is how long an answer waits for a part that it can do without. The rest of the request's time is for the
// answer itself.
const partDeadline = httpx.DefaultTimeout - 800*time.Millisecond

// statisticsTime is the time of a request for figures, which license counts over all licenses, and figuresDeadline how
// long it waits for them.
const (
	statisticsTime  = 5 * time.Second
	figuresDeadline = statisticsTime - 500*time.Millisecond
)

// Names of the parts in `degraded`.
const (
	partLicense   = "license"
	partAnalytics = "analytics"
)

type statisticsBody struct {
	Licenses    *licenseCounts    `json:"licenses"`
	Devices     *deviceCounts     `json:"devices"`
	Validations *validationCounts `json:"validations"`
	Anomalies   *anomalyCounts    `json:"anomalies"`
	GeneratedAt time.Time         `json:"generated_at"`
	Degraded    []string          `json:"degraded,omitempty"`
}

type licenseCounts struct {
	Total          int32 `json:"total"`
	Active         int32 `json:"active"`
	InGrace        int32 `json:"in_grace"`
	Inactive       int32 `json:"inactive"`
	Expired        int32 `json:"expired"`
	Suspended      int32 `json:"suspended"`
	NotStarted     int32 `json:"not_started"`
	Test           int32 `json:"test"`
	Expiring30Days int32 `json:"expiring_30_days"`
}

type deviceCounts struct {
	Active int32 `json:"active"`
}

type validationCounts struct {
	Last24h   int64 `json:"last_24h"`
	Failed24h int64 `json:"failed_24h"`
}

type anomalyCounts struct {
	Open    int32 `json:"open"`
	Last24h int32 `json:"last_24h"`
}

// statistics answers the figures of the whole installation. A part whose service is away is null.
func (a *API) statistics(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), figuresDeadline)
	defer cancel()
	var (
		counts *connect.Response[licensev1.CountLicensesResponse]
		usage  *connect.Response[analyticsv1.StatisticsResponse]
		errs   [2]error
	)
	sideBySide(
		func() {
			counts, errs[0] = a.Counts.CountLicenses(ctx, connect.NewRequest(&licensev1.CountLicensesRequest{}))
		},
		func() {
			usage, errs[1] = a.Analytics.Statistics(ctx, connect.NewRequest(&analyticsv1.StatisticsRequest{}))
		},
	)
	body := statisticsBody{GeneratedAt: a.Clock.Now()}
	if errs[0] == nil {
		body.setLicenses(counts.Msg)
	} else {
		a.logMissing(ctx, partLicense, errs[0])
		body.Degraded = append(body.Degraded, partLicense)
	}
	if errs[1] == nil {
		body.setUsage(usage.Msg)
	} else {
		a.logMissing(ctx, partAnalytics, errs[1])
		body.Degraded = append(body.Degraded, partAnalytics)
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func (b *statisticsBody) setLicenses(m *licensev1.CountLicensesResponse) {
	b.Licenses = &licenseCounts{
		Total:          m.GetTotal(),
		Active:         m.GetActive(),
		InGrace:        m.GetInGrace(),
		Inactive:       m.GetInactive(),
		Expired:        m.GetExpired(),
		Suspended:      m.GetSuspended(),
		NotStarted:     m.GetNotStarted(),
		Test:           m.GetTest(),
		Expiring30Days: m.GetExpiring_30Days(),
	}
	b.Devices = &deviceCounts{Active: m.GetActiveDevices()}
}

func (b *statisticsBody) setUsage(m *analyticsv1.StatisticsResponse) {
	b.Validations = &validationCounts{
		Last24h:   int64(m.GetValidations_24H()),
		Failed24h: int64(m.GetFailedValidations_24H()),
	}
	b.Anomalies = &anomalyCounts{Open: m.GetAnomaliesOpen(), Last24h: m.GetAnomalies_24H()}
}

// licenseStatistics is the figures beside one license. All but active_devices are null while analytics is away.
type licenseStatistics struct {
	ValidationsTotal     *int64     `json:"validations_total"`
	Validations24h       *int64     `json:"validations_24h"`
	FailedValidations24h *int64     `json:"failed_validations_24h"`
	ActiveDevices        int32      `json:"active_devices"`
	LastValidatedAt      *time.Time `json:"last_validated_at"`
	RiskScore            *float64   `json:"risk_score"`
}

func (s *licenseStatistics) set(m *analyticsv1.LicenseStatisticsResponse) {
	s.ValidationsTotal = count(m.GetValidationsTotal())
	s.Validations24h = count(m.GetValidations_24H())
	s.FailedValidations24h = count(m.GetFailedValidations_24H())
	if m.GetLastValidatedAt() != nil {
		s.LastValidatedAt = httpx.TimeOrNull(m.GetLastValidatedAt().AsTime())
	}
	risk := m.GetRiskScore()
	s.RiskScore = &risk
}

// askAnalytics answers the figures of one license, nil while analytics is away. A license that analytics has not seen
// yet has zeros.
func (a *API) askAnalytics(ctx context.Context, id string) *analyticsv1.LicenseStatisticsResponse {
	ctx, cancel := context.WithTimeout(ctx, partDeadline)
	defer cancel()
	res, err := a.Analytics.LicenseStatistics(ctx,
		connect.NewRequest(&analyticsv1.LicenseStatisticsRequest{LicenseId: id}))
	switch {
	case err == nil:
		return res.Msg
	case unseen(err):
		return &analyticsv1.LicenseStatisticsResponse{}
	}
	a.logMissing(ctx, partAnalytics, err)
	return nil
}

// unseen reports whether analytics failed because it has not learned of the license.
func unseen(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Code == errcode.LicenseNotFound
}

// logMissing says why an answer lacks a part.
func (a *API) logMissing(ctx context.Context, part string, err error) {
	a.Log.WarnContext(ctx, "answered without the part of "+part, "error", err)
}

// sideBySide runs the functions at once and waits for all of them.
func sideBySide(fns ...func()) {
	var wg sync.WaitGroup
	for _, fn := range fns {
		wg.Go(fn)
	}
	wg.Wait()
}

// count turns a figure of analytics into a whole number: protobuf's JSON would quote 64-bit integers, so they travel as
// doubles.
func count(figure float64) *int64 {
	n := int64(figure)
	return &n
}
