package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
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
	HardwareID string `json:"hardware_id" text:"identifier"`
	// Product is the code of the product that the application is, empty for any.
	Product string `json:"product" text:"identifier"`
	clientMembers
}

func bindDevice(c *gin.Context) (*deviceRequest, error) {
	req := &deviceRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	req.check(f)
	return req, f.Err()
}

func (r *deviceRequest) check(f apierr.Fields) {
	f.Require("license_key", r.LicenseKey)
	f.MaxLen("license_key", r.LicenseKey, maxText)
	if licensing.BrokenKey(r.LicenseKey) {
		f.Add("license_key", "must not contain control characters")
	}
	f.Require("hardware_id", r.HardwareID)
	f.MaxLen("hardware_id", r.HardwareID, maxText)
	f.MaxLen("product", r.Product, maxText)
	r.clientMembers.check(f)
}

func (r *deviceRequest) client(c *gin.Context) licensing.Client {
	client := r.clientMembers.client(c, r.HardwareID)
	client.Product, client.BoundProduct = r.Product, apikey.Of(c).Product
	return client
}
