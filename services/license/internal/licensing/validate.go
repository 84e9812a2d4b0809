package licensing

import (
	"context"
	"errors"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Validation is the answer about a known, usable license.
type Validation struct {
	// Valid is false when the device has no seat yet.
	Valid bool
	// Refusal is the verdict on that device, nil where Valid.
	Refusal error
	License *License
	// HardwareID is that of the seat, where Valid: that of the device before its other ids.
	HardwareID string
	// Status is StatusActive or StatusInGrace.
	Status Status
	// Cached tells that no database was asked.
	Cached bool
}

// Validate reports whether a device may run the software. Errors: ErrNotFound and the verdicts on the license; a device
// without a seat is a result, not an error. Each call publishes one event.
func (s *Seats) Validate(ctx context.Context, key string, c Client) (Validation, error) {
	return s.ValidateAnd(ctx, key, c, nil)
}

// ValidateAnd is Validate for a call that also wants something of a license that may be used: what then fails with is
// the error.
func (s *Seats) ValidateAnd(
	ctx context.Context, key string, c Client, then func(context.Context, Request) error,
) (Validation, error) {
	l, cached, err := s.LicenseByKey(ctx, key, &c)
	if err != nil {
		return Validation{}, err
	}
	now := s.Clock.Now()
	seat, deviceCached, err := s.seatOn(ctx, l, &c, now)
	if err == nil && (then != nil || c.takes != "") {
		err = s.validatedAnd(ctx, &seat, c, then, now)
	}
	if err != nil {
		err = s.UseRefused(now, l.ID, key, c, err)
		if errors.Is(err, ErrNotActivated) { // told to the caller as a result
			return Validation{Refusal: err, License: l, Status: l.usableStatus(now)}, nil
		}
		return Validation{}, err
	}
	c.HardwareID = seat.HardwareID
	s.seen(l.ID, seat.Device, c, nil)
	s.record(l.ID, now, validated(l, &c))
	return Validation{
		Valid:      true,
		License:    l,
		HardwareID: c.HardwareID,
		Status:     l.usableStatus(now),
		Cached:     cached && deviceCached,
	}, nil
}

// validatedAnd is what remains of a validation that asks for more than a seat, or whose device was recognized anew.
func (s *Seats) validatedAnd(
	ctx context.Context, seat *Seat, c Client, then func(context.Context, Request) error, now time.Time,
) error {
	if c.takes == "" {
		c.HardwareID = seat.HardwareID
	}
	err := s.Rebound(ctx, seat.License.ID, &c, func(ctx context.Context) error {
		if then == nil {
			return nil
		}
		return then(ctx, Request{
			Operation:  OperationUse,
			License:    seat.License,
			Seated:     true,
			HardwareID: c.HardwareID,
			User:       c.signedIn(),
			Now:        now,
		})
	})
	seat.HardwareID = c.HardwareID
	return err
}

func validated(l *License, c *Client) *eventsv1.LicenseValidated {
	said := c.texts()
	return &eventsv1.LicenseValidated{
		LicenseId:  l.ID,
		HardwareId: c.HardwareID,
		DeviceName: said.deviceName,
		Os:         said.os,
		AppVersion: said.appVersion,
		SessionId:  said.sessionID,
		Ip:         c.IP,
		ViaProxy:   c.ViaProxy,
		ClientTime: timestamp(c.Time),
	}
}
