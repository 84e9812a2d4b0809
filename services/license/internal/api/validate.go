package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type validateResponse struct {
	Valid     bool             `json:"valid"`
	ErrorCode string           `json:"error_code,omitempty"`
	LicenseID string           `json:"license_id"`
	ExpiresAt *time.Time       `json:"expires_at"`
	Features  []string         `json:"features"`
	Limits    licensing.Limits `json:"limits"`
	Cached    bool             `json:"cached"`
}

func (a *API) validate(c *gin.Context) error {
	req, err := bindDevice(c)
	if err != nil {
		return err
	}
	v, err := a.Licensing.Validate(c.Request.Context(), req.LicenseKey, req.client(c))
	if refused(err) {
		httpx.WriteErrorWith(c, err, map[string]any{"valid": false})
		return nil
	}
	if err != nil {
		return err
	}
	resp := validateResponse{
		Valid: v.Valid, LicenseID: v.License.ID, ExpiresAt: optionalTime(v.License.ExpiresAt), Features: v.License.Features,
		Limits: v.License.Limits(), Cached: v.Cached,
	}
	if !v.Valid {
		resp.ErrorCode = licensing.ErrNotActivated.Code
	}
	c.JSON(http.StatusOK, resp)
	return nil
}

// refused tells a verdict on the license from a failure to reach one: only the first says "valid": false.
func refused(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && (e.Kind == apierr.NotFound || e.Kind == apierr.Forbidden)
}
