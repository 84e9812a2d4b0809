package api

import (
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

func (a *API) createLicense(c *gin.Context) error {
	var in newLicense
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	idem, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.CreateLicense(c.Request.Context(), connect.NewRequest(&licensev1.CreateLicenseRequest{
		Actor:          actor(c).Message(),
		License:        in.message(),
		IdempotencyKey: forwarded(idem),
	}))
	if err != nil {
		return err
	}
	setETag(c, res.Msg.GetLicense().GetVersion())
	c.JSON(http.StatusCreated, withKey(res.Msg.GetLicense(), res.Msg.GetLicenseKey()))
	return nil
}

type licenseWithStatistics struct {
	licenseBody
	Statistics licenseStatistics `json:"statistics"`
	Degraded   []string          `json:"degraded,omitempty"`
}

// getLicense answers a license with its statistics. While analytics is away its figures are null, because zeros would lie.
func (a *API) getLicense(c *gin.Context) error {
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	var (
		res   *connect.Response[licensev1.GetLicenseResponse]
		usage *analyticsv1.LicenseStatisticsResponse
		ctx   = c.Request.Context()
	)
	sideBySide(
		func() {
			res, err = a.Licenses.GetLicense(ctx, connect.NewRequest(&licensev1.GetLicenseRequest{LicenseId: id}))
		},
		func() { usage = a.askAnalytics(ctx, id) },
	)
	if err != nil {
		return err
	}
	l := res.Msg.GetLicense()
	body := licenseWithStatistics{licenseBody: newLicenseBody(l)}
	body.Statistics.ActiveDevices = l.GetCurrentDevices()
	if usage != nil {
		body.Statistics.set(usage)
	} else {
		body.Degraded = []string{partAnalytics}
	}
	setETag(c, l.GetVersion())
	c.JSON(http.StatusOK, body)
	return nil
}

func (a *API) updateLicense(c *gin.Context) error {
	var in licenseChange
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	req := in.message()
	req.Actor, req.LicenseId, req.IfVersion = actor(c).Message(), licenseIDOrNone(c), version
	res, err := a.Licenses.UpdateLicense(c.Request.Context(), connect.NewRequest(req))
	if err != nil {
		return err
	}
	setETag(c, res.Msg.GetLicense().GetVersion())
	c.JSON(http.StatusOK, newLicenseBody(res.Msg.GetLicense()))
	return nil
}

type deletedBody struct {
	LicenseID     string     `json:"license_id"`
	IsActive      bool       `json:"is_active"`
	DeactivatedAt *time.Time `json:"deactivated_at"`
}

// deleteLicense deactivates a license. It stays known, with its history.
func (a *API) deleteLicense(c *gin.Context) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	bad := httpx.Fields{}
	bad.MaxLen("reason", in.Reason, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.DeleteLicense(c.Request.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{
		Actor:     actor(c).Message(),
		LicenseId: id,
		IfVersion: version,
		Reason:    in.Reason,
	}))
	if err != nil {
		return err
	}
	l := res.Msg.GetLicense()
	setETag(c, l.GetVersion())
	c.JSON(http.StatusOK, deletedBody{LicenseID: id, IsActive: l.GetIsActive(), DeactivatedAt: instant(l.GetDeactivatedAt())})
	return nil
}

// revealLicenseKey shows the whole key of a license again. The license service writes it into the audit log.
func (a *API) revealLicenseKey(c *gin.Context) error {
	if err := noBody(c); err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.RevealLicenseKey(c.Request.Context(), connect.NewRequest(&licensev1.RevealLicenseKeyRequest{
		Actor:     actor(c).Message(),
		LicenseId: id,
	}))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, struct {
		LicenseID  string `json:"license_id"`
		LicenseKey string `json:"license_key"`
	}{id, res.Msg.GetLicenseKey()})
	return nil
}
