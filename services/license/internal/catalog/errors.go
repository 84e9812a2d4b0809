package catalog

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why products, releases and policies cannot be found or changed.
var (
	ErrProductNotFound = apierr.New(apierr.NotFound, errcode.ProductNotFound,
		"no product has this code; codes are case-sensitive, and the list of products shows them")
	ErrProductExists = apierr.New(apierr.Conflict, errcode.ProductExists,
		"a product has this code or this name already; choose another, or change that product")
	ErrProductInUse = apierr.New(apierr.Conflict, errcode.ProductInUse,
		"licenses, policies, users or bundles name this product, or it is the default; set is_active false to stop "+
			"its use")
	ErrReleaseNotFound = apierr.New(apierr.NotFound, errcode.ReleaseNotFound,
		"the product has no release of this version; the list of its releases shows them")
	ErrReleaseExists = apierr.New(apierr.Conflict, errcode.ReleaseExists,
		"the product has a release of this version already; change that one")
	ErrPolicyNotFound = apierr.New(apierr.NotFound, errcode.PolicyNotFound,
		"no policy has this code; codes are case-sensitive, and the list of policies shows them")
	ErrPolicyExists = apierr.New(apierr.Conflict, errcode.PolicyExists,
		"a policy has this code already; choose another, or change that policy")
)
