package licenseimport

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// Store keeps what is imported.
type Store interface {
	// Import runs fn in one transaction, which stays where keep is true, and of which nothing remains otherwise.
	Import(ctx context.Context, keep bool, fn func(ctx context.Context) error) error
	// InTransaction runs fn as a part of it that stands alone: when it fails, the rest is as it was before. It may run
	// more than once.
	InTransaction(ctx context.Context, fn func(ctx context.Context) error) error
	// HoldKeys keeps everybody else from making licenses with these keys until the transaction ends.
	HoldKeys(ctx context.Context, keys []string) error
	// Known are the licenses that have these keys, or had them: a file does not know of rotations. It has the keys in
	// their normalized form, and only those that are known.
	Known(ctx context.Context, keys []string) (map[string]Known, error)
	// Hold keeps everybody else from changing or making what rows name until the transaction ends, in the order in
	// which the whole service locks: the rows then wait for nobody, whatever their order. It makes nothing.
	Hold(ctx context.Context, n Names) error
	// Product reads a product by its code; catalog.ErrProductNotFound.
	Product(ctx context.Context, code string) (catalog.Product, error)
}

// Known is what a key is of.
type Known struct {
	LicenseID string
	// Enrollment tells that it is an enrollment key of the license, not its own.
	Enrollment bool
}

// Names are what the rows of an import name.
type Names struct {
	// LicenseIDs are those of the licenses that are here.
	LicenseIDs, GroupIDs []string
	// Products are the codes or names of those that new licenses are for.
	Products, CustomerIDs []string
	// Emails are those of users, folded.
	Emails []string
}
