package licensing

import (
	"context"
	"time"
)

// Deactivation is a device that has just left its seat, and the license after it.
type Deactivation struct {
	Device  Device
	License License
}

// DeactivateOwn lets a device leave its seat on its own wish, also on a license that has ended. Errors: ErrNotFound,
// ErrUnknownHardwareID, those of a license of users, ErrOfflineTokenActive while it could still run without the server
// and so one seat would serve many.
func (s *Seats) DeactivateOwn(ctx context.Context, key string, c Client) (Deactivation, error) {
	return s.deactivateOwn(ctx, key, c, false)
}

// DeactivateReturned is DeactivateOwn for a device that has given up the returnable file that let it run without the
// server, so that revocation lists need not name it. What else lets it run so holds the seat still.
func (s *Seats) DeactivateReturned(ctx context.Context, key string, c Client) (Deactivation, error) {
	return s.deactivateOwn(ctx, key, c, true)
}

func (s *Seats) deactivateOwn(ctx context.Context, key string, c Client, returned bool) (Deactivation, error) {
	licenseID, err := s.IDByKey(ctx, key, &c)
	if err != nil {
		return Deactivation{}, err
	}
	var out Deactivation
	err = s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) error {
		now := s.Clock.Now()
		d, err := ch.device(&c, now)
		if err == nil {
			err = ch.onlyUsers(&c, d, now)
		}
		if err != nil {
			return err
		}
		hardwareID := c.HardwareID
		if d != nil {
			hardwareID = d.HardwareID
		}
		if e := c.Enrolled(d); e != nil && (e.Foreign || !e.Key.Live(now)) {
			r := Request{License: &ch.License, Enrollment: e, Now: now}
			return &RefusedError{refusal{ErrEnrollmentKeyInvalid}, r}
		}
		if err := d.leaves(returned, now); err != nil {
			return err
		}
		if returned && d != nil && !now.Before(d.TokensUntil) {
			d.OfflineUntil, d.OfflineHorizon, d.OfflineHardwareID = time.Time{}, time.Time{}, ""
		}
		out, err = ch.deactivate(hardwareID, now)
		if err != nil {
			return err
		}
		ch.BorrowsGoOn = true
		ch.Emit(deviceDeactivated(&out, "client", c, ""))
		return nil
	})
	return out, err
}

// leaves refuses to free the seat of a device that could still run without the server.
func (d *Device) leaves(returned bool, now time.Time) error {
	switch {
	case d == nil || !d.IsActive || !d.HoldsOfflineToken(now):
		return nil
	case !returned:
		return &OfflineError{refusal{ErrOfflineTokenActive}, d.OfflineUntil}
	case now.Before(d.TokensUntil):
		return &OfflineError{refusal{ErrOfflineTokenActive}, d.TokensUntil}
	}
	return nil
}

// DeactivateDevice frees a seat for an administrator; an offline token does not hold it up. Errors: ErrNotFound,
// ErrUnknownHardwareID.
func (s *Seats) DeactivateDevice(
	ctx context.Context, by *Actor, licenseID, hardwareID, reason string,
) (Deactivation, error) {
	var out Deactivation
	err := s.Store.Change(ctx, licenseID, []string{hardwareID}, func(ch *Change) (err error) {
		now := s.Clock.Now()
		d, err := ch.called(hardwareID, now)
		if err != nil {
			return err
		}
		hardwareID := hardwareID // of the caller; the change may be tried again
		if d != nil {
			hardwareID = d.HardwareID
		}
		if out, err = ch.deactivate(hardwareID, now); err != nil {
			return err
		}
		ch.Emit(deviceDeactivated(&out, "admin", Client{IP: by.GetIp()}, reason))
		ch.Emit(audited(by, "device.deactivate", licenseID,
			map[string]any{"hardware_id": hardwareID, "is_active": true},
			map[string]any{"hardware_id": hardwareID, "is_active": false, "reason": textValue(reason)}))
		return nil
	})
	return out, err
}

func (ch *Change) deactivate(hardwareID string, now time.Time) (Deactivation, error) {
	d, ok := ch.Devices[hardwareID]
	if !ok || !d.IsActive {
		return Deactivation{}, &DeviceError{refusal{ErrUnknownHardwareID}, hardwareID}
	}
	d.IsActive, d.DeactivatedAt = false, now
	ch.License.CurrentDevices--
	ch.License.freesSeat()
	ch.License.touch(now)
	return Deactivation{Device: *d, License: ch.License}, nil
}
