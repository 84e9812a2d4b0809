package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

type eventBody struct {
	EventID    string          `json:"event_id"`
	Type       string          `json:"type"`
	OccurredAt *time.Time      `json:"occurred_at"`
	Data       json.RawMessage `json:"data"`
}

type eventsBody struct {
	LicenseID string      `json:"license_id"`
	Hours     int         `json:"hours"`
	Events    []eventBody `json:"events"`
	// Total may be larger than the number of events shown.
	Total int32 `json:"total"`
}

func (a *API) listEvents(c *gin.Context) error {
	hours, err := httpx.QueryInt(c, "hours", 24, 1, 8760)
	if err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.ListEvents(c.Request.Context(), connect.NewRequest(&licensev1.ListEventsRequest{LicenseId: id, Hours: int32(hours)}))
	if err != nil {
		return err
	}
	body := eventsBody{LicenseID: id, Hours: hours, Events: []eventBody{}, Total: res.Msg.GetTotal()}
	for _, e := range res.Msg.GetEvents() {
		body.Events = append(body.Events, eventBody{
			EventID:    e.GetEventId(),
			Type:       e.GetType(),
			OccurredAt: instant(e.GetOccurredAt()),
			Data:       object(e.GetDataJson()),
		})
	}
	c.JSON(http.StatusOK, body)
	return nil
}

type usageCounts struct {
	Validations       int64 `json:"validations"`
	FailedValidations int64 `json:"failed_validations"`
	Activations       int64 `json:"activations"`
	Deactivations     int64 `json:"deactivations"`
	Heartbeats        int64 `json:"heartbeats"`
	UniqueDevices     int64 `json:"unique_devices"`
}

type dayUsage struct {
	Date string `json:"date"`
	usageCounts
}

type usageBody struct {
	LicenseID string      `json:"license_id"`
	Days      int         `json:"days"`
	Totals    usageCounts `json:"totals"`
	Daily     []dayUsage  `json:"daily"`
}

func (a *API) licenseUsage(c *gin.Context) error {
	days, err := httpx.QueryInt(c, "days", 30, 1, 366)
	if err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	usage, err := a.usageOf(c.Request.Context(), id, days)
	if err != nil {
		return err
	}
	body := usageBody{LicenseID: id, Days: days, Totals: newUsageCounts(usage.GetTotals()), Daily: []dayUsage{}}
	for _, d := range usage.GetDaily() {
		body.Daily = append(body.Daily, dayUsage{Date: d.GetDate(), usageCounts: newUsageCounts(d.GetCounts())})
	}
	c.JSON(http.StatusOK, body)
	return nil
}

// usageOf asks analytics. A license that exists and that analytics has not seen yet has days without use.
func (a *API) usageOf(ctx context.Context, id string, days int) (*analyticsv1.LicenseUsageResponse, error) {
	res, err := a.Analytics.LicenseUsage(ctx, connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: id, Days: int32(days)}))
	if err == nil {
		return res.Msg, nil
	}
	if !unseen(err) {
		return nil, err
	}
	if _, err := a.Licenses.GetLicense(ctx, connect.NewRequest(&licensev1.GetLicenseRequest{LicenseId: id})); err != nil {
		return nil, err
	}
	return unused(a.Clock.Now(), days), nil
}

// unused is days without use, the last of them today, in UTC.
func unused(now time.Time, days int) *analyticsv1.LicenseUsageResponse {
	res := &analyticsv1.LicenseUsageResponse{}
	for ago := days - 1; ago >= 0; ago-- {
		date := now.UTC().AddDate(0, 0, -ago).Format(time.DateOnly)
		res.Daily = append(res.Daily, &analyticsv1.DayUsage{Date: date})
	}
	return res
}

func newUsageCounts(m *analyticsv1.UsageCounts) usageCounts {
	return usageCounts{
		Validations:       int64(m.GetValidations()),
		FailedValidations: int64(m.GetFailedValidations()),
		Activations:       int64(m.GetActivations()),
		Deactivations:     int64(m.GetDeactivations()),
		Heartbeats:        int64(m.GetHeartbeats()),
		UniqueDevices:     int64(m.GetUniqueDevices()),
	}
}
