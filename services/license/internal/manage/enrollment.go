package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// enrollmentKeyBody is an enrollment key as the public API shows it.
type enrollmentKeyBody struct {
	EnrollmentKeyID string `json:"enrollment_key_id"`
	LicenseID       string `json:"license_id"`
	// EnrollmentKey is whole in the answer of its creation, and masked elsewhere.
	EnrollmentKey string `json:"enrollment_key"`
	Label         string `json:"label"`
	// MaxDevices is null for any number.
	MaxDevices     *int       `json:"max_devices"`
	CurrentDevices int        `json:"current_devices"`
	ExpiresAt      *time.Time `json:"expires_at"`
	CreatedAt      time.Time  `json:"created_at"`
}

func newEnrollmentKeyBody(k licensing.EnrollmentKey) enrollmentKeyBody {
	return enrollmentKeyBody{
		EnrollmentKeyID: k.ID,
		LicenseID:       k.LicenseID,
		EnrollmentKey:   k.MaskedKey,
		Label:           k.Label,
		MaxDevices:      wire.CountOrNull(k.MaxDevices, licensing.Unlimited),
		CurrentDevices:  k.Devices,
		ExpiresAt:       httpx.TimeOrNull(k.ExpiresAt),
		CreatedAt:       k.CreatedAt.UTC(),
	}
}

// newEnrollmentKey is an enrollment key to make.
type newEnrollmentKey struct {
	Label      string        `json:"label" text:"identifier"`
	MaxDevices *int          `json:"max_devices"`
	ExpiresAt  *jsonbody.End `json:"expires_at"`
}

// Unsettable implements jsonbody.Unsettable.
func (newEnrollmentKey) Unsettable() map[string]string {
	return map[string]string{
		"enrollment_key_id": "it is made", "license_id": "the path names it", "enrollment_key": "it is made",
		"current_devices": "devices take seats when they are activated", "created_at": "",
	}
}

func (m *Manage) createEnrollmentKey(c *gin.Context) error {
	var in newEnrollmentKey
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	wanted := licensing.WantedEnrollment{Label: in.Label, MaxDevices: in.MaxDevices, ExpiresAt: endOrNil(in.ExpiresAt)}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (enrollmentKeyBody, error) {
		made, err := m.Licenses.AddEnrollmentKey(ctx, by, licenseID(c), wanted)
		body := newEnrollmentKeyBody(made.EnrollmentKey)
		body.EnrollmentKey = made.Key
		return body, err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listEnrollmentKeys(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	page, err := m.Reads.EnrollmentKeys(c.Request.Context(), licenseID(c), span)
	if err != nil {
		return err
	}
	body := struct {
		EnrollmentKeys []enrollmentKeyBody `json:"enrollment_keys"`
		pageBody
	}{bodies(page.Items, newEnrollmentKeyBody), newPageBody(span, page)}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) deleteEnrollmentKey(c *gin.Context) error {
	id, _ := uid.Parse(c.Param("enrollment_key_id")) // what is none belongs to no key
	gone, err := m.Licenses.DeleteEnrollmentKey(c.Request.Context(), rpc.ActorOf(c), licenseID(c), id)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		EnrollmentKeyID string `json:"enrollment_key_id"`
		Deleted         bool   `json:"deleted"`
	}{gone.ID, true})
	return nil
}
