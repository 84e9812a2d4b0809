package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

type deactivateResponse struct {
	Deactivated   bool        `json:"deactivated"`
	DeviceID      string      `json:"device_id"`
	LicenseID     string      `json:"license_id"`
	HardwareID    string      `json:"hardware_id"`
	DeactivatedAt time.Time   `json:"deactivated_at"`
	Limits        wire.Limits `json:"limits"`
}

func (a *API) deactivate(c *gin.Context) error {
	req, err := a.bindDevice(c)
	if err != nil {
		return err
	}
	resp, err := idempotency.Answer(c, a.Idempotency, a.deviceScope(c, req),
		func(ctx context.Context) (deactivateResponse, error) {
			d, err := a.Seats.DeactivateOwn(ctx, req.LicenseKey, req.client(c))
			return deactivateResponse{
				Deactivated:   true,
				DeviceID:      d.Device.ID,
				LicenseID:     d.License.ID,
				HardwareID:    d.Device.HardwareID,
				DeactivatedAt: d.Device.DeactivatedAt,
				Limits:        wire.NewLimits(d.License.Limits()),
			}, err
		})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, resp)
	return nil
}
