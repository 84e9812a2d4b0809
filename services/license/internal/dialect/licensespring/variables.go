package licensespring

import (
	"maps"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// trackedVariable is a device variable as track_device_variables answers it, with the time in milliseconds.
type trackedVariable struct {
	Variable  string `json:"variable"`
	Value     string `json:"value"`
	DeviceID  int64  `json:"device_id"`
	CreatedAt int64  `json:"created_at"`
}

// deviceVariable is a device variable as get_device_variables answers it, with the time as text.
type deviceVariable struct {
	ID        int64   `json:"id"`
	CreatedAt *string `json:"created_at"`
	Variable  string  `json:"variable"`
	Value     string  `json:"value"`
	DeviceID  int64   `json:"device_id"`
}

// variableIDs is the room for the variables of a device within their numbers: a device has 64 at most.
const variableIDs = 64

// trackVariables sets variables; others that the device has stay.
func (d *Dialect) trackVariables(c *gin.Context, s *subject) error {
	if s.sent.Variables == nil {
		return missing("variables")
	}
	ctx := c.Request.Context()
	device, err := d.Seats.AddVariables(ctx, s.key, s.client, s.sent.Variables)
	if err != nil {
		return err
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Device: device.ID})
	if err != nil {
		return err
	}
	tracked, now := []trackedVariable{}, d.Clock.Now().UnixMilli() // never null
	for _, name := range slices.Sorted(maps.Keys(s.sent.Variables)) {
		tracked = append(tracked, trackedVariable{name, device.Variables[name], n.Device, now})
	}
	return d.answer(c, tracked)
}

// variables shows those of the device. When each was set is not kept: the time is that of the activation.
func (d *Dialect) variables(c *gin.Context, s *subject) error {
	ctx := c.Request.Context()
	found, err := d.Licenses.FindDevice(ctx, s.ID, s.client.HardwareID)
	if err != nil {
		return err
	}
	caller, err := d.Seats.Caller(ctx, s.ID, &s.client)
	switch {
	case err != nil:
		return err
	case !caller.Asks(licensing.OperationUse, s.License, found, d.Clock.Now()).Seated:
		return licensing.ErrNotActivated
	}
	device, err := d.Licenses.Device(ctx, s.ID, found.ID)
	if err != nil {
		return err
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Device: device.ID})
	if err != nil {
		return err
	}
	all := []deviceVariable{} // never null
	for i, name := range slices.Sorted(maps.Keys(device.Variables)) {
		all = append(all, deviceVariable{
			ID:        n.Device*variableIDs + int64(i),
			CreatedAt: stamp(device.ActivatedAt),
			Variable:  name,
			Value:     device.Variables[name],
			DeviceID:  n.Device,
		})
	}
	return d.answer(c, all)
}
