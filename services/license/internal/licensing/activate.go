package licensing

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
)

// Activation is a device that has just taken a seat, and what it needs to know of its license.
type Activation struct {
	Device Device
	// Terms are those of the license, with the features that are usable now. Of a plain license they are only what an
	// answer shows: type, end and features.
	Terms
	Status Status
	// Limits count the device.
	Limits Limits
}

// Activate gives a device a seat; a device that was there before takes its old row. Errors: ErrNotFound, ErrHardwareID for a new
// device, and the verdicts on an activation.
func (s *Seats) Activate(ctx context.Context, key string, c Client) (Activation, error) {
	licenseID, err := s.IDByKey(ctx, key, c)
	if err != nil {
		return Activation{}, err
	}
	now := s.Clock.Now()
	a, err := s.activate(ctx, licenseID, c, now)
	if err == nil {
		return a, nil
	}
	var refused *RefusedError
	if errors.Is(err, ErrActivated) && errors.As(err, &refused) {
		s.seen(licenseID, refused.Device.active(), c, nil)
	}
	s.activationRefused(now, licenseID, key, c, err)
	return Activation{}, err
}

func (s *Seats) activate(ctx context.Context, licenseID string, c Client, now time.Time) (Activation, error) {
	d := newDevice(licenseID, c, now)
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

func newDevice(licenseID string, c Client, now time.Time) Device {
	return Device{
		ID:          newID(),
		LicenseID:   licenseID,
		HardwareID:  c.HardwareID,
		Profile:     c.profile(),
		IsActive:    true,
		ActivatedAt: now,
		LastSeenAt:  now,
	}
}

// activate is the rule of activation, under the lock of the license.
func (ch *Change) activate(d Device, c Client, now time.Time) (Activation, error) {
	old, returning := ch.Devices[d.HardwareID]
	if err := ch.CheckNew(d.HardwareID); err != nil {
		return Activation{}, err
	}
	seated := returning && old.IsActive
	err := Decide(Request{Operation: OperationActivate, License: &ch.License, Seated: seated, Device: old, Now: now})
	if err != nil {
		return Activation{}, err
	}
	if returning {
		// Not OfflineUntil: the offline tokens of the seat that it left are void.
		d.ID, d.Profile, d.SessionData = old.ID, old.Profile.With(d.Profile), old.SessionData
		d.OfflineHorizon = old.OfflineHorizon
	}
	ch.Start(now)
	ch.Announce(now)
	ch.License.CurrentDevices++
	ch.License.touch(now)
	d.ActivatedVersion = ch.License.Version
	ch.Devices[d.HardwareID] = &d
	ch.Emit(activated(&ch.License, &d, c, returning))
	terms := ch.License.Terms
	terms.Features = ch.License.UsableFeatures(now)
	return Activation{Device: d, Terms: terms, Status: ch.License.usableStatus(now), Limits: ch.License.Limits()}, nil
}
