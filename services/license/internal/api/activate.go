package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

type activateResponse struct {
	Activated   bool        `json:"activated"`
	DeviceID    string      `json:"device_id"`
	LicenseID   string      `json:"license_id"`
	HardwareID  string      `json:"hardware_id"`
	DeviceName  *string     `json:"device_name"`
	ActivatedAt time.Time   `json:"activated_at"`
	Product     string      `json:"product"`
	Policy      *string     `json:"policy"`
	ExpiresAt   *time.Time  `json:"expires_at"`
	Features    []string    `json:"features"`
	Limits      wire.Limits `json:"limits"`
	wire.Standing
}

// activateRequest is the body of activate.
type activateRequest struct {
	deviceRequest
	Variables map[string]string `json:"variables"`
}

func (a *API) bindActivation(c *gin.Context) (*activateRequest, error) {
	req := &activateRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	req.check(f)
	if licensing.VariablesProblems(f, req.Variables); len(f) > 0 {
		return nil, f.Err()
	}
	return req, a.identify(c, &req.deviceRequest)
}

func (r *activateRequest) client(c *gin.Context) licensing.Client {
	client := r.deviceRequest.client(c)
	client.Variables = r.Variables
	return client
}

func (a *API) activate(c *gin.Context) error {
	req, err := a.bindActivation(c)
	if err != nil {
		return err
	}
	resp, err := idempotency.Answer(c, a.Idempotency, a.deviceScope(c, &req.deviceRequest),
		func(ctx context.Context) (activateResponse, error) {
			act, err := a.Seats.Activate(ctx, req.LicenseKey, req.client(c))
			return newActivateResponse(act), err
		})
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, resp)
	return nil
}

func newActivateResponse(a licensing.Activation) activateResponse {
	return activateResponse{
		Activated:   true,
		DeviceID:    a.Device.ID,
		LicenseID:   a.Device.LicenseID,
		HardwareID:  a.Device.HardwareID,
		DeviceName:  httpx.TextOrNull(a.Device.Name),
		ActivatedAt: a.Device.ActivatedAt,
		Product:     a.Product,
		Policy:      httpx.TextOrNull(a.Policy),
		ExpiresAt:   httpx.TimeOrNull(a.ExpiresAt),
		Features:    a.Features,
		Limits:      wire.NewLimits(a.Limits),
		Standing:    wire.NewStanding(&a.Terms, a.Status),
	}
}

// deviceScope is whose Idempotency-Key a request with an API key carries. Many devices send one key that is shipped
// with an application, so license and device belong to it.
func (a *API) deviceScope(c *gin.Context, req *deviceRequest) string {
	license := a.Seats.KeyHash(req.LicenseKey)
	if req.user != nil {
		license += "\x00" + req.user.ID + req.LicenseID
	}
	device := sha256.Sum256([]byte(license + "\x00" + req.HardwareID))
	return apikey.Of(c).ID + " " + hex.EncodeToString(device[:])
}
