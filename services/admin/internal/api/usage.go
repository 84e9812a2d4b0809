package api

import (
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
)

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

// licenseUsage answers the use of a license by day. One that exists and that analytics has not seen yet has days
// without use.
func (a *API) licenseUsage(c *gin.Context) error {
	days, err := httpx.QueryInt(c, "days", 30, 1, 366)
	if err != nil {
		return err
	}
	id := licenseID(c)
	asked := connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: id, Days: int32(days)})
	res, err := a.Analytics.LicenseUsage(c.Request.Context(), asked)
	if unseen(err) {
		return a.ifLicense(c, id, newUsageBody(id, days, unused(a.Clock.Now(), days)))
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newUsageBody(id, days, res.Msg))
	return nil
}

// ifLicense answers with the body if the license exists, and what the license service says otherwise.
func (a *API) ifLicense(c *gin.Context, id string, body any) error {
	license, err := a.Licenses.Get(c.Request.Context(), actor(c), licenses+"/"+id)
	if err != nil {
		return err
	}
	if license.Status != http.StatusOK {
		license.Write(c)
		return nil
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func newUsageBody(id string, days int, usage *analyticsv1.LicenseUsageResponse) usageBody {
	body := usageBody{LicenseID: id, Days: days, Totals: newUsageCounts(usage.GetTotals()), Daily: []dayUsage{}}
	for _, d := range usage.GetDaily() {
		body.Daily = append(body.Daily, dayUsage{Date: d.GetDate(), usageCounts: newUsageCounts(d.GetCounts())})
	}
	return body
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
