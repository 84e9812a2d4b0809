// Package user is about the users of products that people sign in to: what administrators do with them, and how they
// sign in. The rules of licensing ask who a user is, and the limits of users.
package user

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	maxText = 255
	// MaxLicenses is how many licenses a user may have: each sign-in names all.
	MaxLicenses = 100
)

// User is somebody who signs in to use licenses of a product.
type User struct {
	licensing.User
	// Product is the code of the product.
	Product string
	Name    string
	// PasswordHash is in the form of PHC, with the parameters that it was made by.
	PasswordHash string
	// MustChangePassword holds until the user has a password that nobody else chose.
	MustChangePassword bool
	// KnownAddresses are hashes of where the user signed in from lately, latest first.
	KnownAddresses []string
	// SignedInAt is when the user last signed in, zero for never.
	SignedInAt time.Time
	// Version grows with each change.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Users are the use cases of administrators for users.
type Users struct {
	Store     Store
	Licenses  *licensing.Licenses
	Passwords *Passwords
	Clock     clock.Clock
}

// NewUser is what an administrator says of a user to be made.
type NewUser struct {
	Product, CustomerID string
	// Password is nil for one that is made.
	Password *string
	Change
}

// Change changes the members that are given. MaxDevices null is licensing.Unlimited.
type Change struct {
	Email, Name *string
	MaxDevices  licensing.Optional[int]
	IsLocked    *bool
}

// Created is a user who has just been made, or whose password was reset, and the password that was made: it is shown
// this once.
type Created struct {
	User     User
	Password string
}

// Fold is an e-mail as it is compared.
func Fold(email string) string { return strings.ToLower(email) }

// Prepared is a user whom only the store has yet to make, with the events of that.
type Prepared struct {
	Created
	Events []proto.Message
}

// Create makes a user. Errors: VALIDATION_ERROR, ErrExists.
func (s *Users) Create(ctx context.Context, by *licensing.Actor, n NewUser) (Created, error) {
	p, err := s.Prepare(ctx, by, n)
	if err == nil {
		err = s.Store.CreateUser(ctx, p.User, p.Events)
	}
	return p.Created, err
}

// Prepare hashes the password of a user to be made, which takes too long within a transaction. Errors:
// VALIDATION_ERROR.
func (s *Users) Prepare(ctx context.Context, by *licensing.Actor, n NewUser) (Prepared, error) {
	u, p := n.user(s.Clock.Now())
	password, made := given(n.Password)
	checkPassword(p, "initial_password", password, u.Email)
	if err := p.Err(); err != nil {
		return Prepared{}, err
	}
	var err error
	if u.PasswordHash, err = s.Passwords.Hash(ctx, password); err != nil {
		return Prepared{}, err
	}
	return Prepared{Created: Created{User: u, Password: made}, Events: createdEvents(by, &u)}, nil
}

func createdEvents(by *licensing.Actor, u *User) []proto.Message {
	return []proto.Message{
		&eventsv1.UserCreated{User: snapshot(u)}, audit.Entry(by, "user.create", nil, named(u, auditView(u))),
	}
}

// user is the user to be made, and what is wrong with that.
func (n *NewUser) user(now time.Time) (User, apierr.Fields) {
	u := User{
		User: licensing.User{
			ID:         uuid.Must(uuid.NewV7()).String(),
			CustomerID: n.CustomerID,
			MaxDevices: licensing.Unlimited,
		},
		Product:            n.Product,
		MustChangePassword: true,
		Version:            1,
		CreatedAt:          now,
		UpdatedAt:          now,
	}
	p := apierr.Fields{}
	p.Require("product", n.Product)
	p.Require("customer_id", n.CustomerID)
	p.MaxLen("product", n.Product, maxText)
	p.MaxLen("customer_id", n.CustomerID, maxText)
	if n.Email == nil {
		p.Add("email", "is required")
	}
	n.Change.problems(p)
	n.apply(&u)
	return u, p
}

// given is the password that was sent, or else one that is made, and the latter alone.
func given(sent *string) (password, made string) {
	if sent != nil {
		return *sent, ""
	}
	made = newPassword()
	return made, made
}

// Update changes a user who has the version, where that is not nil. A change that changes nothing publishes nothing.
// Errors: VALIDATION_ERROR, ErrNotFound, ErrExists, VERSION_MISMATCH.
func (s *Users) Update(
	ctx context.Context, by *licensing.Actor, id string, version licensing.Versions, c Change,
) (User, error) {
	p := apierr.Fields{}
	if c.problems(p); len(p) > 0 {
		return User{}, p.Err()
	}
	return s.Store.ChangeUser(ctx, id, func(u *User) ([]proto.Message, error) {
		if err := licensing.CheckVersion(version, u.Version); err != nil {
			return nil, err
		}
		before, wasLocked := auditView(u), u.IsLocked
		c.apply(u)
		was, is := audit.Changes(before, auditView(u))
		if len(is) == 0 {
			return nil, nil
		}
		u.touch(s.Clock.Now())
		events := []proto.Message{&eventsv1.UserUpdated{User: snapshot(u), Changed: slices.Sorted(maps.Keys(is))}}
		if u.IsLocked && !wasLocked {
			u.Credentials++
			events = append(events, &eventsv1.UserLocked{User: snapshot(u)})
		}
		return append(events, audit.Entry(by, "user.update", named(u, was), named(u, is))), nil
	})
}

// ResetPassword gives a user a password, or one that is made; anyone who has signed in with the one before is signed
// out. Errors: VALIDATION_ERROR, ErrNotFound.
func (s *Users) ResetPassword(ctx context.Context, by *licensing.Actor, id string, sent *string) (Created, error) {
	password, made := given(sent)
	p := apierr.Fields{}
	if checkLength(p, "initial_password", password); len(p) > 0 {
		return Created{}, p.Err()
	}
	known, err := s.Store.FindUser(ctx, id)
	if err != nil {
		return Created{}, err
	}
	if checkPassword(p, "initial_password", password, known.Email); len(p) > 0 {
		return Created{}, p.Err()
	}
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return Created{}, err
	}
	u, err := s.Store.ChangeUser(ctx, id, func(u *User) ([]proto.Message, error) {
		u.setPassword(hash, true, s.Clock.Now())
		return []proto.Message{
			&eventsv1.UserPasswordChanged{User: snapshot(u), By: "admin"},
			audit.Entry(by, "user.reset_password", nil, named(u, map[string]any{"must_change_password": true})),
		}, nil
	})
	return Created{User: u, Password: made}, err
}

// Delete removes a user who has the version, where that is not nil. Seats that the user has taken are freed. Errors:
// ErrNotFound, VERSION_MISMATCH.
func (s *Users) Delete(ctx context.Context, by *licensing.Actor, id string, version licensing.Versions) error {
	u, err := s.Store.FindUser(ctx, id)
	if err == nil {
		err = licensing.CheckVersion(version, u.Version)
	}
	if err != nil {
		return err
	}
	for {
		for _, licenseID := range u.Licenses {
			if _, err := s.Unassign(ctx, by, licenseID, id); err != nil {
				return err
			}
		}
		err := s.Store.DeleteUser(ctx, id, func(now *User) ([]proto.Message, error) {
			if u = *now; len(u.Licenses) > 0 {
				return nil, errAssigned
			}
			return []proto.Message{
				&eventsv1.UserDeleted{User: snapshot(now)},
				audit.Entry(by, "user.delete", named(now, auditView(now)), nil),
			}, nil
		})
		if !errors.Is(err, errAssigned) {
			return err
		}
	}
}

// errAssigned says that a user got a license while being deleted.
var errAssigned = errors.New("the user has licenses")

// Assign gives a user a license of the user's product and customer. Errors: licensing.ErrNotFound, ErrNotFound,
// VALIDATION_ERROR.
func (s *Users) Assign(ctx context.Context, by *licensing.Actor, licenseID, userID string) (User, error) {
	return s.Store.Assign(ctx, licenseID, userID, func(u *User, l *licensing.License) ([]proto.Message, error) {
		if l.Product != u.Product {
			return nil, errOtherProduct
		}
		if l.CustomerID != u.CustomerID {
			return nil, errOtherCustomer
		}
		if len(u.Licenses) >= MaxLicenses {
			return nil, errTooMany
		}
		return []proto.Message{
			&eventsv1.UserAssigned{User: snapshot(u), LicenseId: l.ID, License: licensing.Snapshot(l, s.Clock.Now())},
			s.assignment(by, "user.assign", u, l),
		}, nil
	})
}

// Unassign takes a license from a user, and frees the seats that the user has taken on it. Errors:
// licensing.ErrNotFound, ErrNotFound.
func (s *Users) Unassign(ctx context.Context, by *licensing.Actor, licenseID, userID string) (User, error) {
	events := func(u *User, l *licensing.License) ([]proto.Message, error) {
		return []proto.Message{
			&eventsv1.UserUnassigned{User: snapshot(u), LicenseId: l.ID, License: licensing.Snapshot(l, s.Clock.Now())},
			s.assignment(by, "user.unassign", u, l),
		}, nil
	}
	free := func(ch *licensing.Change) error { return ch.FreeSeatsOf(userID, by, s.Licenses) }
	return s.Store.Unassign(ctx, licenseID, userID, events, free)
}

func (s *Users) assignment(by *licensing.Actor, action string, u *User, l *licensing.License) proto.Message {
	entry := audit.Entry(by, action, nil, named(u, map[string]any{}))
	entry.LicenseId = l.ID
	return entry
}

func (c *Change) problems(p apierr.Fields) {
	if c.Email != nil {
		if a, err := mail.ParseAddress(*c.Email); err != nil || a.Address != *c.Email || a.Name != "" {
			p.Add("email", "must be an e-mail address")
		}
		p.MaxLen("email", *c.Email, maxText)
	}
	if c.Name != nil {
		p.MaxLen("name", *c.Name, maxText)
	}
	limit := c.MaxDevices
	if limit.Present && !limit.Null && (limit.Value < 1 || limit.Value > licensing.MaxDevicesLimit) {
		p.Add("max_devices", fmt.Sprintf("must be from 1 to %d, or null for any number", licensing.MaxDevicesLimit))
	}
}

func (c *Change) apply(u *User) {
	if c.Email != nil {
		u.Email = *c.Email
	}
	if c.Name != nil {
		u.Name = *c.Name
	}
	if c.MaxDevices.Null {
		u.MaxDevices = licensing.Unlimited
	} else if c.MaxDevices.Present {
		u.MaxDevices = c.MaxDevices.Value
	}
	if c.IsLocked != nil {
		u.IsLocked = *c.IsLocked
	}
}

func (u *User) touch(now time.Time) {
	u.Version++
	u.UpdatedAt = now
}

// setPassword makes what proved the user before void. What that does to each kind of token:
// docs/licensing/users-and-groups.md.
func (u *User) setPassword(hash string, mustChange bool, now time.Time) {
	u.PasswordHash, u.MustChangePassword = hash, mustChange
	u.Credentials++
	u.touch(now)
}

func checkPassword(p apierr.Fields, name, password, email string) {
	if Fold(password) == Fold(email) {
		p.Add(name, "must not be the e-mail")
	}
	checkLength(p, name, password)
}

func checkLength(p apierr.Fields, name, password string) {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		p.Add(name, fmt.Sprintf("must have %d to %d characters", minPassword, maxPassword))
	}
}

func snapshot(u *User) *eventsv1.User {
	return &eventsv1.User{
		UserId:     u.ID,
		Product:    u.Product,
		CustomerId: u.CustomerID,
		Email:      u.Email,
		MaxDevices: int32(u.MaxDevices),
		IsLocked:   u.IsLocked,
		Version:    int32(u.Version),
	}
}

// auditView is what the audit log shows of a user, by its public names.
func auditView(u *User) map[string]any {
	shown := map[string]any{"email": u.Email, "name": u.Name, "max_devices": nil, "is_locked": u.IsLocked}
	if u.MaxDevices != licensing.Unlimited {
		shown["max_devices"] = u.MaxDevices
	}
	return shown
}

// named adds to members of a user who it is.
func named(u *User, members map[string]any) map[string]any {
	members["user_id"], members["customer_id"], members["product"] = u.ID, u.CustomerID, u.Product
	return members
}
