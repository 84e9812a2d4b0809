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
	// Product and Policy are codes, Policy empty for none.
	Product, Policy string
	// Limits count the device.
	Limits Limits
}

// Activate gives a device a seat; a device that was there before takes its old row. Errors: ErrNotFound,
// ErrHardwareIDNotUnique for a new device, and the verdicts on an activation.
func (s *Seats) Activate(ctx context.Context, key string, c Client) (Activation, error) {
	licenseID, err := s.IDByKey(ctx, key, &c)
	if err != nil {
		return Activation{}, err
	}
	now := s.Clock.Now()
	a, err := s.activate(ctx, licenseID, c, now)
	if err == nil {
		if a.Device.rebound {
			s.NoteSeen(&a.Device, c)
		}
		return a, nil
	}
	var refused *RefusedError
	seated := errors.Is(err, ErrActivated) && errors.As(err, &refused)
	if seated {
		c.HardwareID = refused.Device.HardwareID // the client may know it by a former one
		s.seen(licenseID, refused.Device.active(), c, nil)
	}
	if seated && c.Repeats {
		s.record(licenseID, now, validated(refused.License, &c))
	} else {
		s.ActivationRefused(now, licenseID, key, c, err)
	}
	return Activation{}, err
}

func (s *Seats) activate(ctx context.Context, licenseID string, c Client, now time.Time) (Activation, error) {
	d := newDevice(licenseID, c, now)
	caller, err := s.caller(ctx, &c)
	if err != nil {
		return Activation{}, err
	}
	blocked, err := s.blockedByID(ctx, licenseID, caller, now)
	if err != nil {
		return Activation{}, err
	}
	if c.Enrollment == nil && !blocked && c.Components == nil && c.Variables == nil && !isPlaceholder(c.HardwareID) {
		taken, err := s.Store.TakeSeat(ctx, d, func() proto.Message {
			return activated(&License{ID: licenseID}, &d, c, false)
		})
		if err != nil {
			return Activation{}, err
		}
		if taken != nil {
			return *taken, nil
		}
	}
	if caller.released, err = s.releaseOf(ctx, licenseID, c.AppVersion); err != nil {
		return Activation{}, err
	}
	var a Activation
	err = s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) (err error) {
		a, err = ch.activate(d, caller, now)
		return err
	})
	return a, err
}

// blockedByID reports whether a client without a device on the license is blocked. It needs the license only where
// there are blocks.
func (s *Seats) blockedByID(ctx context.Context, licenseID string, c Caller, now time.Time) (bool, error) {
	if c.blocks == nil {
		return false, nil
	}
	l, _, err := s.Lookup.License(ctx, licenseID)
	return err == nil && c.block(l, "", now) != nil, err
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
		Components:  c.Components,
		Variables:   c.Variables,
	}
}

// activate is the rule of activation, under the lock of the license.
func (ch *Change) activate(d Device, c Caller, now time.Time) (Activation, error) {
	old, err := ch.device(c.Client, now)
	if err != nil {
		return Activation{}, err
	}
	r, err := ch.wants(OperationActivate, old, c, now)
	if err == nil {
		err = Decide(r)
	}
	if err != nil {
		return Activation{}, err
	}
	if old != nil && old.IsActive { // it was recognized, and so keeps its seat under the new id
		if c.Client != nil && c.Variables != nil {
			ch.described(old, old.setVariables(c.Variables), "client")
		}
		return ch.activation(old, now), nil
	}
	ch.License.takesSeat(old)
	d.FirstActivatedAt = now
	if c.Enrollment != nil {
		d.EnrollmentKeyID = c.Enrollment.ID
	}
	if c.Client != nil && c.User != nil {
		d.UserID = c.User.ID
	}
	if old != nil {
		if err := ch.partOffline(old, now); err != nil {
			return Activation{}, err
		}
		d.returns(old)
	}
	ch.Start(now)
	ch.Announce(now)
	ch.License.CurrentDevices++
	ch.License.touch(now)
	d.ActivatedVersion = ch.License.Version
	ch.Devices[d.HardwareID] = &d
	ch.Emit(activated(&ch.License, &d, *c.Client, old != nil))
	return ch.activation(&d, now), nil
}

// wants is what an activation puts before the checks; seats that were left idle are freed for it. old is nil for a
// device that is new to the license. One that has its seat is refused, unless it has just been recognized under a new
// id.
func (ch *Change) wants(o Operation, old *Device, c Caller, now time.Time) (Request, error) {
	r := c.Asks(o, &ch.License, old, now)
	var err error
	if r.Enrollment, err = ch.enrollment(c.Client, old); err != nil {
		return Request{}, err
	}
	if r.Seated && old.rebound {
		r.Operation = OperationUse
		return r, nil
	}
	if !r.Seated && ch.License.CurrentDevices >= ch.License.MaxDevices {
		if _, err := ch.cull(now); err != nil {
			return Request{}, err
		}
	}
	if !r.Seated {
		if err = ch.shared(&r); err != nil {
			return Request{}, err
		}
	}
	r.Newcomers, err = ch.newcomers(old, now)
	return r, err
}

// returns takes over what is known of a device that was there before. Not OfflineUntil: the offline tokens of the seat
// that it left are void, and TokensUntil only keeps OfflineHorizon from being given back.
func (d *Device) returns(old *Device) {
	d.ID, d.HardwareID, d.Profile, d.SessionData = old.ID, old.HardwareID, old.Profile.With(d.Profile), old.SessionData
	d.OfflineHorizon, d.TokensUntil = old.OfflineHorizon, old.TokensUntil
	d.FirstActivatedAt, d.Label = old.FirstActivatedAt, old.Label
	if d.Variables == nil {
		d.Variables = old.Variables
	}
	if d.Components == nil {
		d.Components = old.Components
	}
}

func (ch *Change) activation(d *Device, now time.Time) Activation {
	terms := ch.License.Terms
	terms.Features = ch.License.UsableFeatures(now)
	return Activation{
		Device:  *d,
		Terms:   terms,
		Status:  ch.License.usableStatus(now),
		Product: ch.License.Product,
		Policy:  ch.License.Policy,
		Limits:  ch.License.Limits(),
	}
}
