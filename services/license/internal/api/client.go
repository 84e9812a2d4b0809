package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// maxText bounds identifiers and names, in characters.
const maxText = 255

type osInfo struct {
	Name    string `json:"name" text:"identifier"`
	Version string `json:"version" text:"identifier"`
}

// clientMembers are the optional members that validate, activate and heartbeat share.
type clientMembers struct {
	DeviceName string            `json:"device_name" text:"identifier"`
	OSInfo     osInfo            `json:"os_info"`
	AppVersion string            `json:"app_version" text:"identifier"`
	SessionID  string            `json:"session_id" text:"identifier"`
	ClientTime time.Time         `json:"client_time"`
	IsVM       bool              `json:"is_vm"`
	Components map[string]string `json:"components"`
}

func (m *clientMembers) check(f apierr.Fields) {
	f.MaxLen("device_name", m.DeviceName, maxText)
	f.MaxLen("os_info.name", m.OSInfo.Name, maxText)
	f.MaxLen("os_info.version", m.OSInfo.Version, maxText)
	f.MaxLen("app_version", m.AppVersion, maxText)
	f.MaxLen("session_id", m.SessionID, maxText)
	if len(m.Components) > 0 {
		licensing.ComponentsProblems(f, "components", m.Components)
	}
}

func (m *clientMembers) client(c *gin.Context, hardwareID string) licensing.Client {
	return licensing.Client{
		HardwareID: hardwareID,
		DeviceName: m.DeviceName,
		OSName:     m.OSInfo.Name,
		OSVersion:  m.OSInfo.Version,
		AppVersion: m.AppVersion,
		SessionID:  m.SessionID,
		Time:       m.ClientTime,
		IP:         httpx.ClientIP(c),
		ViaProxy:   httpx.ViaProxy(c),
		IsVM:       m.IsVM,
		Components: licensing.RealComponents(m.Components),
	}
}

// deviceRequest is the body of activate and deactivate, and a part of others.
type deviceRequest struct {
	LicenseKey string `json:"license_key" text:"key"`
	// UserToken takes the place of LicenseKey, together with LicenseID where the user has several licenses.
	UserToken  string `json:"user_token" text:"identifier"`
	LicenseID  string `json:"license_id" text:"identifier"`
	HardwareID string `json:"hardware_id" text:"identifier"`
	// Product is the code of the product that the application is, empty for any.
	Product string `json:"product" text:"identifier"`
	clientMembers
	user *licensing.SignedIn
}

func (a *API) bindDevice(c *gin.Context) (*deviceRequest, error) {
	req := &deviceRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	if req.check(f); len(f) > 0 {
		return nil, f.Err()
	}
	return req, a.identify(c, req)
}

func (r *deviceRequest) check(f apierr.Fields) {
	r.checkUser(f)
	f.MaxLen("license_key", r.LicenseKey, maxText)
	if licensing.BrokenKey(r.LicenseKey) {
		f.Add("license_key", "must not contain control characters")
	}
	f.Require("hardware_id", r.HardwareID)
	f.MaxLen("hardware_id", r.HardwareID, maxText)
	f.MaxLen("product", r.Product, maxText)
	r.clientMembers.check(f)
}

// checkUser notes what is wrong with the members that name a user and a license of the user.
func (r *deviceRequest) checkUser(f apierr.Fields) {
	f.MaxLen("user_token", r.UserToken, maxText)
	if r.UserToken == "" {
		f.Require("license_key", r.LicenseKey)
	}
	if r.LicenseID == "" {
		return
	}
	id, ok := uid.Parse(r.LicenseID)
	switch {
	case !ok:
		f.Add("license_id", "must be the license_id of a license")
	case r.LicenseKey != "":
		f.Add("license_id", "send either license_key or license_id")
	case r.UserToken == "":
		f.Add("license_id", "goes with a user_token")
	}
	r.LicenseID = id
}

func (r *deviceRequest) client(c *gin.Context) licensing.Client {
	client := r.clientMembers.client(c, r.HardwareID)
	client.Product, client.BoundProduct, client.User = r.Product, apikey.Of(c).Product, r.user
	return client
}
