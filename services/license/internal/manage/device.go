package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

type osInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type deviceBody struct {
	DeviceID   string `json:"device_id"`
	HardwareID string `json:"hardware_id"`
	// FormerHardwareIDs are those that still are this device, the latest first.
	FormerHardwareIDs []string `json:"former_hardware_ids"`
	// UserID is the user who took the seat, null for a license key.
	UserID     *string `json:"user_id"`
	DeviceName *string `json:"device_name"`
	OSInfo     *osInfo `json:"os_info"`
	AppVersion *string `json:"app_version"`
	// SessionData is the object of the last heartbeat, null before the first.
	SessionData   json.RawMessage `json:"session_data"`
	Label         *string         `json:"label"`
	IsActive      bool            `json:"is_active"`
	ActivatedAt   *time.Time      `json:"activated_at"`
	LastSeenAt    *time.Time      `json:"last_seen_at"`
	DeactivatedAt *time.Time      `json:"deactivated_at"`
}

func newDeviceBody(d *licensing.Device) deviceBody {
	body := deviceBody{
		DeviceID:      d.ID,
		HardwareID:    d.HardwareID,
		UserID:        httpx.TextOrNull(d.UserID),
		DeviceName:    httpx.TextOrNull(d.Name),
		AppVersion:    httpx.TextOrNull(d.AppVersion),
		SessionData:   d.SessionData,
		Label:         httpx.TextOrNull(d.Label),
		IsActive:      d.IsActive,
		ActivatedAt:   httpx.TimeOrNull(d.ActivatedAt),
		LastSeenAt:    httpx.TimeOrNull(d.LastSeenAt),
		DeactivatedAt: httpx.TimeOrNull(d.DeactivatedAt),

		FormerHardwareIDs: append([]string{}, d.FormerIDs...), // never null
	}
	if d.OSName != "" || d.OSVersion != "" {
		body.OSInfo = &osInfo{Name: d.OSName, Version: d.OSVersion}
	}
	return body
}

type devicesBody struct {
	LicenseID string       `json:"license_id"`
	Devices   []deviceBody `json:"devices"`
	pageBody
}

func (m *Manage) listDevices(c *gin.Context) error {
	span, err := querySpanOf(c, 100, 1000, inTime)
	if err != nil {
		return err
	}
	id, q := licenseID(c), query{c: c}
	userID := q.uuid("user_id")
	if q.err != nil {
		return q.err
	}
	page, err := m.Reads.Devices(c.Request.Context(), id, userID, span)
	if err != nil {
		return err
	}
	body := devicesBody{id, []deviceBody{}, newCountedBody(span, page)}
	for i := range page.Items {
		body.Devices = append(body.Devices, newDeviceBody(&page.Items[i]))
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

type deactivatedBody struct {
	Deactivated   bool        `json:"deactivated"`
	DeviceID      string      `json:"device_id"`
	LicenseID     string      `json:"license_id"`
	HardwareID    string      `json:"hardware_id"`
	DeactivatedAt *time.Time  `json:"deactivated_at"`
	Limits        wire.Limits `json:"limits"`
}

func (m *Manage) deactivateDevice(c *gin.Context) error {
	var in struct {
		HardwareID string `json:"hardware_id" text:"identifier"`
		Reason     string `json:"reason"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := apierr.Fields{}
	checkHardwareID(bad, "hardware_id", in.HardwareID)
	bad.MaxLen("reason", in.Reason, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (deactivatedBody, error) {
		left, err := m.Seats.DeactivateDevice(ctx, by, licenseID(c), in.HardwareID, in.Reason)
		return newDeactivatedBody(&left), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

// checkHardwareID holds the name of a device to the same form as the API that devices use.
func checkHardwareID(bad apierr.Fields, name, value string) {
	bad.Require(name, value)
	bad.MaxLen(name, value, maxText)
}

func newDeactivatedBody(left *licensing.Deactivation) deactivatedBody {
	return deactivatedBody{
		Deactivated:   true,
		DeviceID:      left.Device.ID,
		LicenseID:     left.License.ID,
		HardwareID:    left.Device.HardwareID,
		DeactivatedAt: httpx.TimeOrNull(left.Device.DeactivatedAt),
		Limits:        wire.NewLimits(left.License.Limits()),
	}
}

type transferredBody struct {
	Transferred    bool   `json:"transferred"`
	FromHardwareID string `json:"from_hardware_id"`
	ToHardwareID   string `json:"to_hardware_id"`
	DeviceID       string `json:"device_id"`
}

func (m *Manage) transferDevice(c *gin.Context) error {
	var in struct {
		FromHardwareID string `json:"from_hardware_id" text:"identifier"`
		ToHardwareID   string `json:"to_hardware_id" text:"identifier"`
		Force          bool   `json:"force"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (transferredBody, error) {
		moved, err := m.Seats.Transfer(ctx, by, licenseID(c), licensing.Move{
			From: in.FromHardwareID, To: in.ToHardwareID, Force: in.Force,
		})
		return transferredBody{true, in.FromHardwareID, in.ToHardwareID, moved.ID}, err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

// oneDevice is a device with its variables, which a list would be too long for.
type oneDevice struct {
	LicenseID string `json:"license_id"`
	deviceBody
	Variables map[string]string `json:"variables"`
}

func newOneDevice(d *licensing.Device) oneDevice {
	return oneDevice{LicenseID: d.LicenseID, deviceBody: newDeviceBody(d), Variables: wire.Variables(d.Variables)}
}

func (m *Manage) getDevice(c *gin.Context) error {
	d, err := m.Reads.Device(c.Request.Context(), licenseID(c), pathID(c, "device_id"))
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newOneDevice(&d))
	return nil
}

func (m *Manage) labelDevice(c *gin.Context) error {
	var in struct {
		Label jsonbody.Optional[string] `json:"label" null:"ok"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := apierr.Fields{}
	bad.MaxLen("label", in.Label.Value, maxText)
	if !in.Label.Present {
		bad.Add("label", "is required; null takes the label away")
	}
	if err := bad.Err(); err != nil {
		return err
	}
	id, _ := uid.Parse(c.Param("device_id"))
	d, err := m.Licenses.LabelDevice(c.Request.Context(), rpc.ActorOf(c), licenseID(c), id, in.Label.Value)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newOneDevice(&d))
	return nil
}

// resetTransfers lets the transfers of a license count from nothing again.
func (m *Manage) resetTransfers(c *gin.Context) error {
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (licenseBody, error) {
		l, err := m.Licenses.ResetTransfers(ctx, by, licenseID(c))
		return newLicenseBody(&l, m.Clock.Now()), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, body.Version, body)
}
