package api

import (
	"encoding/json"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

type osInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type deviceBody struct {
	DeviceID   string  `json:"device_id"`
	HardwareID string  `json:"hardware_id"`
	DeviceName *string `json:"device_name"`
	OSInfo     *osInfo `json:"os_info"`
	AppVersion *string `json:"app_version"`
	// SessionData is the object of the last heartbeat, null before the first.
	SessionData   json.RawMessage `json:"session_data"`
	IsActive      bool            `json:"is_active"`
	ActivatedAt   *time.Time      `json:"activated_at"`
	LastSeenAt    *time.Time      `json:"last_seen_at"`
	DeactivatedAt *time.Time      `json:"deactivated_at"`
}

type devicesBody struct {
	LicenseID string       `json:"license_id"`
	Devices   []deviceBody `json:"devices"`
	page
}

func (a *API) listDevices(c *gin.Context) error {
	p, err := queryPageOf(c, 100, 1000)
	if err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.ListDevices(c.Request.Context(), connect.NewRequest(&licensev1.ListDevicesRequest{
		LicenseId: id,
		Page:      int32(p.Page),
		PerPage:   int32(p.PerPage),
	}))
	if err != nil {
		return err
	}
	body := devicesBody{LicenseID: id, Devices: []deviceBody{}, page: p.of(int(res.Msg.GetTotal()))}
	for _, d := range res.Msg.GetDevices() {
		body.Devices = append(body.Devices, newDeviceBody(d))
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func newDeviceBody(d *licensev1.Device) deviceBody {
	body := deviceBody{
		DeviceID:      d.GetDeviceId(),
		HardwareID:    d.GetHardwareId(),
		DeviceName:    text(d.GetDeviceName()),
		AppVersion:    text(d.GetAppVersion()),
		SessionData:   nullable(d.GetSessionDataJson()),
		IsActive:      d.GetIsActive(),
		ActivatedAt:   instant(d.GetActivatedAt()),
		LastSeenAt:    instant(d.GetLastSeenAt()),
		DeactivatedAt: instant(d.GetDeactivatedAt()),
	}
	if d.GetOsName() != "" || d.GetOsVersion() != "" {
		body.OSInfo = &osInfo{Name: d.GetOsName(), Version: d.GetOsVersion()}
	}
	return body
}

// checkHardwareID holds the name of a device to the same form as the API that devices use.
func checkHardwareID(bad httpx.Fields, name, value string) {
	bad.Require(name, value)
	bad.MaxLen(name, value, maxText)
}

type limitsBody struct {
	MaxDevices     int32 `json:"max_devices"`
	CurrentDevices int32 `json:"current_devices"`
}

type deactivatedBody struct {
	Deactivated   bool       `json:"deactivated"`
	DeviceID      string     `json:"device_id"`
	LicenseID     string     `json:"license_id"`
	HardwareID    string     `json:"hardware_id"`
	DeactivatedAt *time.Time `json:"deactivated_at"`
	Limits        limitsBody `json:"limits"`
}

func (a *API) deactivateDevice(c *gin.Context) error {
	var in struct {
		HardwareID string `json:"hardware_id" text:"identifier"`
		Reason     string `json:"reason"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := httpx.Fields{}
	checkHardwareID(bad, "hardware_id", in.HardwareID)
	bad.MaxLen("reason", in.Reason, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	idem, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	id, err := licenseID(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.DeactivateDevice(c.Request.Context(), connect.NewRequest(&licensev1.DeactivateDeviceRequest{
		Actor:      actor(c).Message(),
		LicenseId:  id,
		HardwareId: in.HardwareID,
		Reason:     in.Reason,

		IdempotencyKey: forwarded(idem),
	}))
	if err != nil {
		return err
	}
	d := res.Msg.GetDevice()
	c.JSON(http.StatusOK, deactivatedBody{
		Deactivated:   true,
		DeviceID:      d.GetDeviceId(),
		LicenseID:     id,
		HardwareID:    d.GetHardwareId(),
		DeactivatedAt: instant(d.GetDeactivatedAt()),
		Limits:        limitsBody{MaxDevices: res.Msg.GetMaxDevices(), CurrentDevices: res.Msg.GetCurrentDevices()},
	})
	return nil
}

type transferredBody struct {
	Transferred    bool   `json:"transferred"`
	FromHardwareID string `json:"from_hardware_id"`
	ToHardwareID   string `json:"to_hardware_id"`
	DeviceID       string `json:"device_id"`
}

func (a *API) transferDevice(c *gin.Context) error {
	var in struct {
		FromHardwareID string `json:"from_hardware_id" text:"identifier"`
		ToHardwareID   string `json:"to_hardware_id" text:"identifier"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := httpx.Fields{}
	checkHardwareID(bad, "from_hardware_id", in.FromHardwareID)
	checkHardwareID(bad, "to_hardware_id", in.ToHardwareID)
	if err := bad.Err(); err != nil {
		return err
	}
	idem, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	res, err := a.Licenses.TransferDevice(c.Request.Context(), connect.NewRequest(&licensev1.TransferDeviceRequest{
		Actor:          actor(c).Message(),
		LicenseId:      licenseIDOrNone(c),
		FromHardwareId: in.FromHardwareID,
		ToHardwareId:   in.ToHardwareID,
		IdempotencyKey: forwarded(idem),
	}))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, transferredBody{
		Transferred:    true,
		FromHardwareID: in.FromHardwareID,
		ToHardwareID:   in.ToHardwareID,
		DeviceID:       res.Msg.GetDevice().GetDeviceId(),
	})
	return nil
}
