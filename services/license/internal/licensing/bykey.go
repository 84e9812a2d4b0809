package licensing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Use cases for devices look a license up by its key through the two functions here, never through Lookup: these
// publish each refusal of an unknown key, and guessed keys show in nothing else, and each of a user who may not use the
// license.

// FormerKeyError is ErrNotFound of a key that a license had until it ended. Clients are told what is said of a key that
// nobody has; the refusal is published with the license, because who comes with its former key guesses none.
type FormerKeyError struct{ LicenseID string }

// Error is the text of ErrNotFound.
func (e *FormerKeyError) Error() string { return ErrNotFound.Error() }

// Unwrap has ErrNotFound answer for the error.
func (e *FormerKeyError) Unwrap() error { return ErrNotFound }

// refusedOf is the license with which the refusal of a key is published: the one that was found and is of another
// product, or the one that had the key. It is empty for a key that nobody has.
func refusedOf(found string, err error) string {
	var former *FormerKeyError
	if errors.As(err, &former) {
		return former.LicenseID
	}
	return found
}

// IDByKey finds the id of a license by its key as somebody typed it, or by an enrollment key, and notes the latter in
// c. Errors: ErrNotFound.
func (s *Seats) IDByKey(ctx context.Context, key string, c *Client) (licenseID string, err error) {
	if key == "" && c.User != nil {
		licenseID, err = c.User.license()
	} else {
		licenseID, c.Enrollment, err = s.Lookup.IDByKey(ctx, NormalizeKey(key))
	}
	if err == nil && (c.Product != "" || c.BoundProduct != "") {
		err = s.checkProduct(ctx, licenseID, c)
	}
	if err != nil && key != "" {
		s.ActivationRefused(s.Clock.Now(), refusedOf(licenseID, err), key, *c, err)
	} else if refusesUser(err) {
		s.ActivationRefused(s.Clock.Now(), s.meant(ctx, c), "", *c, err)
	}
	return licenseID, err
}

// LicenseByKey is IDByKey for a call of a device with a seat: it finds the license, from memory (cached) where it can.
func (s *Seats) LicenseByKey(ctx context.Context, key string, c *Client) (l *License, cached bool, err error) {
	if key == "" && c.User != nil {
		l, cached, err = s.licenseOfUser(ctx, c.User)
	} else {
		l, c.Enrollment, cached, err = s.Lookup.LicenseByKey(ctx, NormalizeKey(key))
	}
	var found string
	if err == nil && !c.isFor(l) {
		found, err = l.ID, ErrNotFound
	}
	if err != nil && key != "" {
		err = s.UseRefused(s.Clock.Now(), refusedOf(found, err), key, *c, err)
	} else if refusesUser(err) {
		err = s.UseRefused(s.Clock.Now(), s.meant(ctx, c), "", *c, err)
	}
	return l, cached, err
}

// refusesUser reports whether a call without a key was refused because of who made it.
func refusesUser(err error) bool {
	return errors.Is(err, ErrUserLocked) || errors.Is(err, ErrNotAssigned)
}

// meant is the license with which the refusal of a user is published: the one that the call names, or the only one that
// the user has. It is empty where there is none, or none for the client, whose key may be bound to a product; and for a
// license that is nothing to the user, or anyone who learned its id could fill its history and its risk.
func (s *Seats) meant(ctx context.Context, c *Client) string {
	id := c.User.LicenseID
	if id == "" && len(c.User.Licenses) == 1 {
		id = c.User.Licenses[0]
	}
	l, _, err := s.Lookup.License(ctx, id)
	if err != nil || !c.isFor(l) || l.CustomerID != c.User.CustomerID && !slices.Contains(c.User.Licenses, id) {
		return ""
	}
	return id
}

// licenseOfUser is the license that a signed-in user names, or has alone.
func (s *Seats) licenseOfUser(ctx context.Context, u *SignedIn) (*License, bool, error) {
	id, err := u.license()
	if err != nil {
		return nil, false, err
	}
	return s.Lookup.License(ctx, id)
}

// checkProduct is isFor for the id of a license. Licenses never change theirs, so memory may answer.
func (s *Seats) checkProduct(ctx context.Context, licenseID string, c *Client) error {
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err == nil && !c.isFor(l) {
		err = ErrNotFound
	}
	return err
}

// isFor reports whether a license is for the product that the client asks for, and for the one to which its caller is
// bound.
func (c *Client) isFor(l *License) bool {
	return (c.Product == "" || c.Product == l.Product) && (c.BoundProduct == "" || c.BoundProduct == l.Product)
}

// keyHash is KeyHash, empty for a call by a user.
func (s *Seats) keyHash(key string) string {
	if key == "" {
		return ""
	}
	return s.KeyHash(key)
}

// refusalOf is the refusal that err tells of, nil for a failure: an outage refuses nobody, so nothing is published of
// it.
func refusalOf(err error) *apierr.Error {
	var refusal *apierr.Error
	if !errors.As(err, &refusal) || refusal.Kind == apierr.Internal || refusal.Kind == apierr.Unavailable {
		return nil
	}
	return refusal
}

// ActivationRefused publishes the refusal of a device that wanted a seat, or wanted to leave one. licenseID is empty
// for an unknown key.
func (s *Seats) ActivationRefused(now time.Time, licenseID, key string, c Client, err error) {
	refusal := refusalOf(err)
	if refusal == nil {
		return
	}
	var said texts // as in UseRefused
	if licenseID != "" {
		said = c.texts()
	}
	var full *RefusedError
	if errors.Is(err, ErrLimit) && errors.As(err, &full) {
		s.record(licenseID, now, &eventsv1.LicenseDeviceLimitExceeded{
			LicenseId:      licenseID,
			HardwareId:     c.HardwareID,
			DeviceName:     said.deviceName,
			Os:             said.os,
			AppVersion:     said.appVersion,
			SessionId:      said.sessionID,
			Ip:             c.IP,
			ViaProxy:       c.ViaProxy,
			ClientTime:     timestamp(c.Time),
			ErrorCode:      refusal.Code,
			Reason:         refusal.Message,
			CurrentDevices: int32(full.License.CurrentDevices),
			MaxDevices:     int32(full.License.MaxDevices),
		})
		return
	}
	s.record(licenseID, now, &eventsv1.LicenseActivationRefused{
		LicenseId: licenseID, ErrorCode: refusal.Code, LicenseKeyHash: s.keyHash(key),
		HardwareId: c.HardwareID, DeviceName: said.deviceName, Os: said.os, AppVersion: said.appVersion,
		SessionId: said.sessionID, Ip: c.IP, ViaProxy: c.ViaProxy, ClientTime: timestamp(c.Time),
	})
}

// UseRefused publishes the refusal of a device that wanted to use the license, and returns err.
func (s *Seats) UseRefused(now time.Time, licenseID, key string, c Client, err error) error {
	refusal := refusalOf(err)
	if refusal == nil {
		return err
	}
	var said texts // of the device of an unknown key nothing but its id: it is nobody's
	if licenseID != "" {
		said = c.texts()
	}
	s.record(licenseID, now, &eventsv1.LicenseValidationFailed{
		LicenseId:      licenseID,
		HardwareId:     c.HardwareID,
		DeviceName:     said.deviceName,
		Os:             said.os,
		AppVersion:     said.appVersion,
		SessionId:      said.sessionID,
		Ip:             c.IP,
		ViaProxy:       c.ViaProxy,
		ClientTime:     timestamp(c.Time),
		ErrorCode:      refusal.Code,
		Reason:         refusal.Message,
		LicenseKeyHash: s.keyHash(key),
	})
	return err
}
