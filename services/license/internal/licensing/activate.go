package licensing

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Activation is a device that has just taken a seat, and what it needs to know of its license.
type Activation struct {
	Device Device
	// ExpiresAt is zero for a perpetual license.
	ExpiresAt time.Time
	Features  []string
	// Limits count the device.
	Limits Limits
}

// Activate gives a device a seat; a device that was there before takes its old row. Errors: ErrNotFound, ErrHardwareID for a new
// device, ErrInactive, ErrExpired, ErrActivated with the activation in its details, ErrLimit with the limits.
func (s *Licensing) Activate(ctx context.Context, key string, c Client) (Activation, error) {
	licenseID, err := s.idByKey(ctx, key, c)
	if err != nil {
		return Activation{}, err
	}
	now := s.Clock.Now()
	a, err := s.activate(ctx, licenseID, c, now)
	if err == nil {
		return a, nil
	}
	if errors.Is(err, ErrActivated) {
		s.seen(licenseID, a.Device.active(), c, nil)
	}
	s.activationRefused(now, licenseID, key, c, err)
	return Activation{}, err
}

func (s *Licensing) activate(ctx context.Context, licenseID string, c Client, now time.Time) (Activation, error) {
	d := Device{
		ID: newID(), LicenseID: licenseID, HardwareID: c.HardwareID, Profile: c.profile(), IsActive: true, ActivatedAt: now, LastSeenAt: now,
	}
	if !isPlaceholder(c.HardwareID) {
		taken, err := s.Store.TakeSeat(ctx, d, func() proto.Message { return activated(&License{ID: licenseID}, &d, c, false) })
		if err != nil {
			return Activation{}, err
		}
		if taken != nil {
			return *taken, nil
		}
	}
	var a Activation
	err := s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) (err error) {
		a, err = ch.activate(d, c, now)
		return err
	})
	return a, err
}

// activate is the rule of activation, under the lock of the license. With ErrActivated it returns the device that is there.
func (ch *Change) activate(d Device, c Client, now time.Time) (Activation, error) {
	old, returning := ch.Devices[d.HardwareID]
	if !returning && isPlaceholder(d.HardwareID) {
		return Activation{}, ErrHardwareID.With("hardware_id", d.HardwareID)
	}
	if err := ch.License.Check(now); err != nil {
		return Activation{}, err
	}
	if returning && old.IsActive {
		return Activation{Device: *old}, ErrActivated.With("license_id", ch.License.ID).With("device_id", old.ID).
			With("hardware_id", old.HardwareID).With("device_name", textOrNull(old.Name)).With("activated_at", old.ActivatedAt)
	}
	if ch.License.CurrentDevices >= ch.License.MaxDevices {
		return Activation{}, ErrLimit.With("limits", ch.License.Limits())
	}
	if returning {
		// Not OfflineUntil: the offline tokens of the seat that it left are void.
		d.ID, d.Profile, d.SessionData = old.ID, old.Profile.With(d.Profile), old.SessionData
	}
	ch.License.CurrentDevices++
	ch.License.touch(now)
	d.ActivatedVersion = ch.License.Version
	ch.Devices[d.HardwareID] = &d
	ch.Emit(activated(&ch.License, &d, c, returning))
	return Activation{Device: d, ExpiresAt: ch.License.ExpiresAt, Features: ch.License.Features, Limits: ch.License.Limits()}, nil
}

// textOrNull is what details show of a text that may be missing.
func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// touch marks a change of the license.
func (l *License) touch(now time.Time) {
	l.Version++
	l.UpdatedAt = now
}

// Limits is how callers see the seats of a license.
type Limits struct {
	MaxDevices     int `json:"max_devices"`
	CurrentDevices int `json:"current_devices"`
}

// Limits returns the seats of the license.
func (l *License) Limits() Limits {
	return Limits{MaxDevices: l.MaxDevices, CurrentDevices: l.CurrentDevices}
}

// Deactivation is a device that has just left its seat, and the license after it.
type Deactivation struct {
	Device  Device
	License License
}

// DeactivateOwn lets a device leave its seat on its own wish, also on a license that has ended. Errors: ErrNotFound,
// ErrNoDevice, ErrOffline while it could still run without the server and so one seat would serve many.
func (s *Licensing) DeactivateOwn(ctx context.Context, key string, c Client) (Deactivation, error) {
	licenseID, err := s.idByKey(ctx, key, c)
	if err != nil {
		return Deactivation{}, err
	}
	var out Deactivation
	err = s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) error {
		now := s.Clock.Now()
		if d, ok := ch.Devices[c.HardwareID]; ok && d.IsActive && d.HoldsOfflineToken(now) {
			return ErrOffline.With("offline_token_expires_at", d.OfflineUntil)
		}
		out, err = ch.deactivate(c.HardwareID, now)
		if err != nil {
			return err
		}
		ch.Emit(deviceDeactivated(&out, "client", c, ""))
		return nil
	})
	return out, err
}

// DeactivateDevice frees a seat for an administrator; an offline token does not hold it up. Errors: ErrNotFound, ErrNoDevice.
func (s *Licensing) DeactivateDevice(ctx context.Context, by *Actor, licenseID, hardwareID, reason string) (Deactivation, error) {
	var out Deactivation
	err := s.Store.Change(ctx, licenseID, []string{hardwareID}, func(ch *Change) (err error) {
		if out, err = ch.deactivate(hardwareID, s.Clock.Now()); err != nil {
			return err
		}
		ch.Emit(deviceDeactivated(&out, "admin", Client{IP: by.GetIp()}, reason))
		ch.Emit(audit(by, "device.deactivate", licenseID,
			map[string]any{"hardware_id": hardwareID, "is_active": true},
			map[string]any{"hardware_id": hardwareID, "is_active": false, "reason": reason}))
		return nil
	})
	return out, err
}

func (ch *Change) deactivate(hardwareID string, now time.Time) (Deactivation, error) {
	d, ok := ch.Devices[hardwareID]
	if !ok || !d.IsActive {
		return Deactivation{}, ErrNoDevice.With("hardware_id", hardwareID)
	}
	d.IsActive, d.DeactivatedAt = false, now
	ch.License.CurrentDevices--
	ch.License.touch(now)
	return Deactivation{Device: *d, License: ch.License}, nil
}

// Transfer moves a seat from one device to another in one step, the count unchanged. Errors: ErrNotFound, ErrHardwareID when the
// other device is new, ErrInactive, ErrExpired, ErrNoDevice, ErrActivated when the other device has a seat already.
func (s *Licensing) Transfer(ctx context.Context, by *Actor, licenseID, from, to string) (Device, error) {
	if err := checkTransfer(from, to); err != nil {
		return Device{}, err
	}
	var moved Device
	err := s.Store.Change(ctx, licenseID, []string{from, to}, func(ch *Change) (err error) {
		if moved, err = ch.transfer(from, to, s.Clock.Now()); err != nil {
			return err
		}
		ch.Emit(&eventsv1.LicenseTransferred{
			LicenseId: licenseID, DeviceId: moved.ID, FromHardwareId: from, ToHardwareId: to, Version: int32(ch.License.Version),
			CurrentDevices: int32(ch.License.CurrentDevices), MaxDevices: int32(ch.License.MaxDevices),
		})
		ch.Emit(audit(by, "license.transfer", licenseID, map[string]any{"hardware_id": from}, map[string]any{"hardware_id": to}))
		return nil
	})
	return moved, err
}

func checkTransfer(from, to string) error {
	problems := map[string]string{}
	checkText(problems, "from_hardware_id", from, true)
	checkText(problems, "to_hardware_id", to, true)
	if from == to {
		problems["to_hardware_id"] = "must differ from from_hardware_id"
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

func (ch *Change) transfer(from, to string, now time.Time) (Device, error) {
	target, ok := ch.Devices[to]
	if !ok && isPlaceholder(to) {
		return Device{}, ErrHardwareID.With("hardware_id", to)
	}
	if err := ch.License.Check(now); err != nil {
		return Device{}, err
	}
	if source, ok := ch.Devices[from]; !ok || !source.IsActive {
		return Device{}, ErrNoDevice.With("hardware_id", from)
	}
	if ok && target.IsActive {
		return Device{}, errTargetSeated.With("license_id", ch.License.ID).With("device_id", target.ID).With("hardware_id", to)
	}
	if !ok {
		target = &Device{ID: newID(), LicenseID: ch.License.ID, HardwareID: to}
		ch.Devices[to] = target
	}
	ch.Devices[from].IsActive, ch.Devices[from].DeactivatedAt = false, now
	ch.License.touch(now)
	target.IsActive, target.ActivatedAt, target.DeactivatedAt = true, now, time.Time{}
	target.ActivatedVersion = ch.License.Version
	target.OfflineUntil = time.Time{} // the offline tokens of a seat that it had before are void
	return *target, nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
