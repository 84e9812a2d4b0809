package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// rotatedBody is a license with its whole new key, as only the rotation shows it.
type rotatedBody struct {
	licenseBody
	FormerKeyValidUntil *time.Time `json:"former_key_valid_until"`
}

// rotateLicenseKey gives a license another key.
func (m *Manage) rotateLicenseKey(c *gin.Context) error {
	overlap, err := bindOverlap(c, licensing.MaxKeyOverlap)
	if err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (rotatedBody, error) {
		r, err := m.Licenses.RotateKey(ctx, by, licenseID(c), overlap)
		return rotatedBody{newCreatedBody(&r.Created, m.Clock.Now()), httpx.TimeOrNull(r.FormerUntil)}, err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, body.Version, body)
}

// bindOverlap reads for how long what is replaced goes on beside what takes its place.
func bindOverlap(c *gin.Context, most time.Duration) (time.Duration, error) {
	var in struct {
		OverlapHours int `json:"overlap_hours"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return 0, err
	}
	bad := apierr.Fields{}
	bad.Range("overlap_hours", in.OverlapHours, 0, int(most/time.Hour))
	return time.Duration(in.OverlapHours) * time.Hour, bad.Err()
}
