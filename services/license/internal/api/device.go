package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// ownDevice is a device as it is shown to itself.
type ownDevice struct {
	DeviceID   string            `json:"device_id"`
	LicenseID  string            `json:"license_id"`
	HardwareID string            `json:"hardware_id"`
	DeviceName *string           `json:"device_name"`
	Label      *string           `json:"label"`
	Variables  map[string]string `json:"variables"`
}

func newOwnDevice(d licensing.Device) ownDevice {
	return ownDevice{
		DeviceID:   d.ID,
		LicenseID:  d.LicenseID,
		HardwareID: d.HardwareID,
		DeviceName: httpx.TextOrNull(d.Name),
		Label:      httpx.TextOrNull(d.Label),
		Variables:  wire.Variables(d.Variables),
	}
}

type variablesRequest struct {
	deviceRequest
	Variables *map[string]string `json:"variables"`
}

func (a *API) putVariables(c *gin.Context) error {
	var req variablesRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	req.check(f)
	if req.Variables == nil {
		f.Add("variables", "is required")
	} else {
		licensing.VariablesProblems(f, *req.Variables)
	}
	if err := f.Err(); err != nil {
		return err
	}
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return err
	}
	return a.describe(c, func(ctx context.Context) (licensing.Device, error) {
		return a.Seats.SetVariables(ctx, req.LicenseKey, req.client(c), *req.Variables)
	})
}

type labelRequest struct {
	deviceRequest
	Label *string `json:"label"`
}

func (a *API) labelDevice(c *gin.Context) error {
	var req labelRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	req.check(f)
	if req.Label == nil {
		f.Add("label", "is required; an empty one takes the label away")
	} else {
		f.MaxLen("label", *req.Label, maxText)
	}
	if err := f.Err(); err != nil {
		return err
	}
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return err
	}
	id, _ := uid.Parse(c.Param("device_id")) // what is none is not the device's own
	return a.describe(c, func(ctx context.Context) (licensing.Device, error) {
		return a.Seats.SetLabel(ctx, req.LicenseKey, req.client(c), id, *req.Label)
	})
}

// describe answers with a device after a change that may be repeated as often as one likes.
func (a *API) describe(c *gin.Context, change func(context.Context) (licensing.Device, error)) error {
	d, err := change(c.Request.Context())
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newOwnDevice(d))
	return nil
}
