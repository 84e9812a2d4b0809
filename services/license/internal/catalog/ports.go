package catalog

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// ProductStore keeps products and releases. Every method that changes something locks what it changes, and writes the
// events of the change in the same transaction; when decide fails nothing is written.
type ProductStore interface {
	// CreateProduct inserts a product; ErrProductExists.
	CreateProduct(ctx context.Context, p Product, events []proto.Message) error
	// Product reads a product by its code; ErrProductNotFound.
	Product(ctx context.Context, code string) (Product, error)
	// Products reads a part of the products, by code.
	Products(ctx context.Context, span licensing.Span) (licensing.Page[Product], error)
	// ChangeProduct lets decide change a product, and make it a bundle of the products with the codes in bundle, which
	// are locked with it; ErrProductNotFound, ErrProductExists where another has its name.
	ChangeProduct(
		ctx context.Context, code string, bundle []string, decide func(*Product) ([]proto.Message, error),
	) (Product, error)
	// DeleteProduct removes a product and its releases when decide lets it; ErrProductNotFound, ErrProductInUse.
	DeleteProduct(ctx context.Context, code string, decide func(*Product) ([]proto.Message, error)) error
	// Releases reads a part of the releases of a product, newest first; ErrProductNotFound.
	Releases(ctx context.Context, product string, span licensing.Span) (licensing.Page[Release], error)
	// ChangeReleases lets decide make, change (it returns another) or remove (it returns nil) the release of a product
	// that has the version; old is nil where there is none. ErrProductNotFound.
	ChangeReleases(ctx context.Context, product, version string, decide ReleaseDecision) error
}

// ReleaseDecision is what becomes of a release of a product.
type ReleaseDecision func(p *Product, old *Release) (release *Release, events []proto.Message, err error)

// PolicyStore keeps policies, as ProductStore does products.
type PolicyStore interface {
	// CreatePolicy inserts a policy; ErrPolicyExists, VALIDATION_ERROR where its product is not there.
	CreatePolicy(ctx context.Context, p Policy, events []proto.Message) error
	// FindPolicy reads a policy by its code; ErrPolicyNotFound.
	FindPolicy(ctx context.Context, code string) (Policy, error)
	// Policies reads a part of the policies, by code.
	Policies(ctx context.Context, span licensing.Span) (licensing.Page[Policy], error)
	// ChangePolicy lets decide change a policy; ErrPolicyNotFound.
	ChangePolicy(ctx context.Context, code string, decide func(*Policy) ([]proto.Message, error)) (Policy, error)
	// DeletePolicy removes a policy when decide lets it; ErrPolicyNotFound.
	DeletePolicy(ctx context.Context, code string, decide func(*Policy) ([]proto.Message, error)) error
}
