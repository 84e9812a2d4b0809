package api

import (
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
)

type refusalBody struct {
	HardwareID string    `json:"hardware_id"`
	ErrorCode  string    `json:"error_code"`
	Count      int32     `json:"count"`
	FirstAt    time.Time `json:"first_at"`
	LastAt     time.Time `json:"last_at"`
	DeviceName *string   `json:"device_name"`
	AppVersion *string   `json:"app_version"`
	IP         *string   `json:"ip"`
}

type refusalsBody struct {
	LicenseID string `json:"license_id"`
	// Since is null where analytics has not seen the license yet.
	Since    *time.Time    `json:"since"`
	Refusals []refusalBody `json:"refusals"`
	httpx.Page
}

// licenseRefusals answers the devices that a license refused of late.
func (a *API) licenseRefusals(c *gin.Context) error {
	p, err := httpx.QueryPage(c, 50, 100)
	if err != nil {
		return err
	}
	id := licenseID(c)
	res, err := a.Analytics.LicenseRefusals(c.Request.Context(), connect.NewRequest(&analyticsv1.LicenseRefusalsRequest{
		LicenseId: id, Page: int32(p.Page), PerPage: int32(p.PerPage),
	}))
	if unseen(err) {
		return a.ifLicense(c, id, refusalsBody{LicenseID: id, Refusals: []refusalBody{}, Page: p.Of(0)})
	}
	if err != nil {
		return err
	}
	body := refusalsBody{LicenseID: id, Since: new(res.Msg.GetSince().AsTime()), Refusals: []refusalBody{},
		Page: p.Of(int(res.Msg.GetTotal()))}
	for _, r := range res.Msg.GetRefusals() {
		body.Refusals = append(body.Refusals, refusalBody{
			HardwareID: r.GetHardwareId(),
			ErrorCode:  r.GetErrorCode(),
			Count:      r.GetCount(),
			FirstAt:    r.GetFirstAt().AsTime(),
			LastAt:     r.GetLastAt().AsTime(),
			DeviceName: httpx.TextOrNull(r.GetDeviceName()),
			AppVersion: httpx.TextOrNull(r.GetAppVersion()),
			IP:         httpx.TextOrNull(r.GetIp()),
		})
	}
	c.JSON(http.StatusOK, body)
	return nil
}
