package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

func (m *Manage) createLicense(c *gin.Context) error {
	var in newLicense
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (licenseBody, error) {
		made, err := m.Licenses.Create(ctx, by, in.wanted())
		return newCreatedBody(&made, m.Clock.Now()), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusCreated, body.Version, body)
}

func (m *Manage) getLicense(c *gin.Context) error {
	l, err := m.Reads.Find(c.Request.Context(), licenseID(c))
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, newLicenseBody(&l, m.Clock.Now()))
}

func (m *Manage) updateLicense(c *gin.Context) error {
	var in licenseChange
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	l, err := m.Licenses.Update(c.Request.Context(), rpc.ActorOf(c), licenseID(c), in.patch())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, newLicenseBody(&l, m.Clock.Now()))
}

type deletedBody struct {
	LicenseID     string     `json:"license_id"`
	IsActive      bool       `json:"is_active"`
	DeactivatedAt *time.Time `json:"deactivated_at"`
}

// deleteLicense deactivates a license. It stays known, with its history.
func (m *Manage) deleteLicense(c *gin.Context) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	bad := apierr.Fields{}
	bad.MaxLen("reason", in.Reason, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	l, err := m.Licenses.Delete(c.Request.Context(), rpc.ActorOf(c), licenseID(c), in.Reason)
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, deletedBody{l.ID, l.IsActive, httpx.TimeOrNull(l.LastDeactivation().At)})
}

// revealLicenseKey shows the whole key of a license again, which the audit log notes.
func (m *Manage) revealLicenseKey(c *gin.Context) error {
	id := licenseID(c)
	key, err := m.Licenses.RevealKey(c.Request.Context(), rpc.ActorOf(c), id)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		LicenseID  string `json:"license_id"`
		LicenseKey string `json:"license_key"`
	}{id, key})
	return nil
}
