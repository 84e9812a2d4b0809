package licensing

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// User is somebody who signs in to use licenses, as far as verdicts ask.
type User struct {
	ID    string
	Email string
	// CustomerID is the vendor's id of the customer whose user it is.
	CustomerID string
	// MaxDevices bounds the seats that the user takes on all licenses together; it may be Unlimited.
	MaxDevices int
	IsLocked   bool
	// Credentials grows when what proves the user becomes void.
	Credentials int
	// Licenses are the ids of those that are assigned to the user.
	Licenses []string
	// Devices is how many seats the user has taken. It is counted only under the lock of the user.
	Devices int
}

// SignedIn is a user whom a call proved, and the license that it is about: empty for the only one that the user has.
type SignedIn struct {
	*User
	LicenseID string
}

// signedIn is the user who makes the call, nil for nobody who has signed in.
func (c *Client) signedIn() *User {
	if c.User == nil {
		return nil
	}
	return c.User.User
}

// license is the id of the license that the call is about.
func (u *SignedIn) license() (string, error) {
	switch {
	case u.IsLocked:
		return "", ErrUserLocked
	case u.LicenseID != "" && slices.Contains(u.Licenses, u.LicenseID):
		return u.LicenseID, nil
	case u.LicenseID != "" || len(u.Licenses) == 0:
		return "", ErrNotAssigned
	case len(u.Licenses) > 1:
		return "", apierr.InvalidField("license_id",
			"is required: the user has several licenses, which the sign-in names")
	}
	return u.Licenses[0], nil
}

// of puts down who makes a call about a device whose seat was taken by owner, empty for no user. To all others the
// device of a user has no seat.
func (r *Request) of(c *Client, owner string) {
	r.Trusted, r.Holder, r.User = c.Trusted, c.Holder, c.signedIn()
	r.Foreign = r.needsUser() && owner != "" && (r.User == nil || r.User.ID != owner)
	r.Seated = r.Seated && !r.Foreign
}

// needsUser reports whether the call is one of a user.
func (r Request) needsUser() bool { return r.License.productRules().ByUser && !r.Trusted }

func signedIn(r Request) bool { return !r.needsUser() || r.Holder || r.User != nil }

func userNotLocked(r Request) bool { return !r.needsUser() || r.User == nil || !r.User.IsLocked }

func userAssigned(r Request) bool {
	return !r.needsUser() || r.User == nil || slices.Contains(r.User.Licenses, r.License.ID)
}

func userSeatFree(r Request) bool {
	return !r.needsUser() || r.User == nil || r.User.Devices < r.User.MaxDevices
}

// userID is the id of the user of a request, as a fact.
func userID(r Request) any {
	if r.User == nil {
		return nil
	}
	return r.User.ID
}

func userSeats(r Request) (taken, limit any) {
	if r.User == nil {
		return nil, nil
	}
	return r.User.Devices, countValue(r.User.MaxDevices, Unlimited)
}

// represent makes the user who took the seat of a device the one who calls by its token.
func (s *Seats) represent(ctx context.Context, l *License, c *Client, owner string) error {
	if !c.Holder || owner == "" || !l.productRules().ByUser {
		return nil
	}
	u, err := s.Users.User(ctx, owner)
	c.User = c.as(u)
	return err
}

// represent is that of Seats, under lock.
func (ch *Change) represent(c *Client, d *Device) error {
	if c == nil || !c.Holder || d.owner() == "" || !ch.License.productRules().ByUser {
		return nil
	}
	u, err := ch.Reads.User(d.UserID)
	c.User = c.as(u)
	return err
}

// as is a user, nil for none, as the one who calls.
func (c *Client) as(u *User) *SignedIn {
	if u == nil {
		return nil
	}
	return &SignedIn{User: u}
}

// OfAnotherUser reports whether somebody else than the user who calls has taken the seat of the client's device.
func (ch *Change) OfAnotherUser(c *Client) bool {
	r := Request{License: &ch.License}
	r.of(c, ch.Devices[c.HardwareID].owner())
	return r.Foreign
}

// user puts the user of a call as of now, under lock, before the checks, if the license is for users who sign in. One
// whose credentials became void meanwhile is none.
func (ch *Change) user(r *Request) error {
	if r.User == nil || !ch.License.productRules().ByUser {
		return nil
	}
	now, err := ch.Reads.User(r.User.ID)
	if err == nil && now != nil && now.Credentials != r.User.Credentials && !now.IsLocked {
		now = nil
	}
	r.User = now
	return err
}

// onlyUsers refuses a call about a device of a license of users by anybody else than its user, in whatever state the
// license is. Errors: ErrCredentials, ErrUserLocked, ErrNotAssigned, and ErrUnknownHardwareID for the device of another
// user.
func (ch *Change) onlyUsers(c *Client, d *Device, now time.Time) error {
	r := Request{License: &ch.License, Now: now}
	r.of(c, d.owner())
	if err := ch.user(&r); err != nil {
		return err
	}
	switch {
	case !signedIn(r):
		return &RefusedError{refusal{ErrCredentials}, r}
	case !userNotLocked(r):
		return &RefusedError{refusal{ErrUserLocked}, r}
	case !userAssigned(r):
		return &RefusedError{refusal{ErrNotAssigned}, r}
	case r.Foreign:
		return &DeviceError{refusal{ErrUnknownHardwareID}, c.HardwareID}
	}
	return nil
}

// FreeSeatsOf frees the seats that a user has taken on the license.
func (ch *Change) FreeSeatsOf(user string, by *Actor, s *Licenses) error {
	devices, err := ch.Reads.DevicesOf(user)
	if err != nil {
		return err
	}
	for _, d := range devices {
		ch.Devices[d.HardwareID] = d
		out, err := ch.deactivate(d.HardwareID, s.Clock.Now())
		if err != nil {
			return err
		}
		ch.Emit(deviceDeactivated(&out, "admin", Client{IP: by.GetIp()}, "its user was unassigned"))
	}
	return nil
}
