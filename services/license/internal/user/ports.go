package user

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps users. Every method that changes something locks what it changes, and writes the events of the change in
// the same transaction; when decide fails nothing is written.
type Store interface {
	// CreateUser inserts a user; ErrExists, VALIDATION_ERROR where its product is not there or is not for users.
	CreateUser(ctx context.Context, u User, events []proto.Message) error
	// FindUser reads a user; ErrNotFound.
	FindUser(ctx context.Context, id string) (User, error)
	// Users reads a part of the users that match, newest first.
	Users(ctx context.Context, f Filter, span licensing.Span) (licensing.Page[User], error)
	// ChangeUser lets decide change a user; ErrNotFound, ErrExists.
	ChangeUser(ctx context.Context, id string, decide func(*User) ([]proto.Message, error)) (User, error)
	// DeleteUser removes a user when decide lets it; ErrNotFound.
	DeleteUser(ctx context.Context, id string, decide func(*User) ([]proto.Message, error)) error
	// Named reads up to MaxNamed users of a product who have an e-mail; customerID is empty for all customers.
	Named(ctx context.Context, product, foldedEmail, customerID string) ([]User, error)
	// Assign gives a user a license, or nothing where the user has it; licensing.ErrNotFound, ErrNotFound.
	Assign(ctx context.Context, licenseID, userID string, events Assignment) (User, error)
	// Unassign takes a license from a user and frees the seats that the user has taken on it; licensing.ErrNotFound,
	// ErrNotFound.
	Unassign(ctx context.Context, licenseID, userID string, events Assignment,
		free func(*licensing.Change) error) (User, error)
}

// MaxNamed is how many users of one e-mail are looked at.
const MaxNamed = 10

// Assignment are the events of a license that a user gets or loses.
type Assignment func(u *User, l *licensing.License) ([]proto.Message, error)

// Filter selects users; nil members do not filter.
type Filter struct {
	Product, CustomerID, Email, LicenseID *string
	// CustomerEmail is the whole e-mail address of the customer, whatever its case.
	CustomerEmail *string
}
