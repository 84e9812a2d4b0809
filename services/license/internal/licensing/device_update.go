package licensing

import (
	"context"
	"fmt"
	"maps"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Bounds of the variables of a device: their number, the characters of a name, and the bytes of a value.
const (
	maxVariables    = 64
	maxVariableName = 64
	maxVariable     = 1 << 10
)

// VariablesProblems notes what is wrong with variables.
func VariablesProblems(p map[string]string, variables map[string]string) {
	if len(variables) > maxVariables {
		p["variables"] = fmt.Sprintf("must have at most %d members", maxVariables)
		return
	}
	for name, value := range variables {
		if n := utf8.RuneCountInString(name); n < 1 || n > maxVariableName {
			p["variables"] = fmt.Sprintf("each name must have 1 to %d characters", maxVariableName)
		}
		if len(value) > maxVariable {
			p["variables"] = fmt.Sprintf("each value must have at most %d bytes", maxVariable)
		}
	}
}

// SetVariables replaces what an application keeps with its own device. Errors: ErrNotFound, the verdicts on its use.
func (s *Seats) SetVariables(ctx context.Context, key string, c Client, variables map[string]string) (Device, error) {
	return s.describeOwn(ctx, key, c, func(d *Device) (changed string, err error) {
		return d.setVariables(variables), nil
	})
}

// AddVariables is SetVariables for some variables: others stay. Errors: those of SetVariables, VALIDATION_ERROR where
// there would be too many.
func (s *Seats) AddVariables(ctx context.Context, key string, c Client, variables map[string]string) (Device, error) {
	return s.describeOwn(ctx, key, c, func(d *Device) (changed string, err error) {
		all := map[string]string{}
		maps.Copy(all, d.Variables)
		maps.Copy(all, variables)
		if len(all) > maxVariables {
			return "", apierr.InvalidField("variables", fmt.Sprintf("a device has at most %d", maxVariables))
		}
		return d.setVariables(all), nil
	})
}

// SetLabel names the device of a client, which must be the one with the id. Errors: ErrNotFound, the verdicts on its
// use, ErrUnknownDeviceID.
func (s *Seats) SetLabel(ctx context.Context, key string, c Client, deviceID, label string) (Device, error) {
	return s.describeOwn(ctx, key, c, func(d *Device) (changed string, err error) {
		if d.ID != deviceID {
			return "", errDeviceIDMismatch
		}
		return d.setLabel(label), nil
	})
}

// setVariables is setLabel for the variables.
func (d *Device) setVariables(variables map[string]string) (changed string) {
	if maps.Equal(d.Variables, variables) {
		return ""
	}
	d.Variables = variables
	return "variables"
}

// setLabel tells by the name of the member what it changed.
func (d *Device) setLabel(label string) (changed string) {
	if d.Label == label {
		return ""
	}
	d.Label = label
	return "label"
}

func (s *Seats) describeOwn(
	ctx context.Context, key string, c Client, describe func(*Device) (changed string, err error),
) (Device, error) {
	licenseID, err := s.IDByKey(ctx, key, &c)
	if err != nil {
		return Device{}, err
	}
	caller, err := s.Caller(ctx, licenseID, &c)
	if err != nil {
		return Device{}, err
	}
	var out Device
	err = s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) error {
		now := s.Clock.Now()
		d, err := ch.device(&c, now)
		if err != nil {
			return err
		}
		r := caller.Asks(OperationUse, &ch.License, d, now)
		r.OfSeat = true
		if err := Decide(r); err != nil {
			return err
		}
		changed, err := describe(d)
		if err != nil {
			return err
		}
		ch.described(d, changed, "client")
		out = *d
		return nil
	})
	return out, err
}

func (ch *Change) described(d *Device, changed, by string) {
	if changed == "" {
		return
	}
	ch.Emit(&eventsv1.DeviceUpdated{
		LicenseId: ch.License.ID, DeviceId: d.ID, HardwareId: d.HardwareID, Changed: []string{changed}, By: by,
	})
}

// LabelDevice names a device for an administrator. Errors: ErrNotFound, ErrUnknownDeviceID.
func (s *Licenses) LabelDevice(ctx context.Context, by *Actor, licenseID, deviceID, label string) (Device, error) {
	found, err := s.Reads.Device(ctx, licenseID, deviceID)
	if err != nil {
		return Device{}, err
	}
	var out Device
	err = s.Store.Change(ctx, licenseID, []string{found.HardwareID}, func(ch *Change) error {
		d := ch.Devices[found.HardwareID]
		if d == nil || d.ID != deviceID {
			return ErrUnknownDeviceID // it came back under another id meanwhile
		}
		before := d.Label
		changed := d.setLabel(label)
		out = *d
		if changed == "" {
			return nil
		}
		ch.described(d, changed, "admin")
		ch.Emit(audited(by, "device.label", licenseID,
			map[string]any{"device_id": deviceID, "label": textValue(before)},
			map[string]any{"device_id": deviceID, "label": textValue(label)}))
		return nil
	})
	return out, err
}
