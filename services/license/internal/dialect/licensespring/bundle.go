package licensespring

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

var (
	errUnknownBundle = invalid("unknown_bundle", "there is no bundle with this code")
	errNotInBundle   = invalid("product_not_in_bundle", "the product is not in the bundle")
)

// bundleRoutes are the calls about all products of a bundle. Its license is one, so that they are what calls about the
// license are: all products are activated, or none.
func (d *Dialect) bundleRoutes(g gin.IRouter, read, write gin.HandlerFunc) {
	g.POST("/activate_bundle", write, d.device(body, d.ofBundle(d.activate)))
	g.GET("/check_bundle", read, d.device(query, d.ofBundle(d.check)))
	g.POST("/deactivate_bundle", write, d.device(body, d.ofBundle(d.deactivate)))
	g.POST("/activate_bundle_offline", write, d.offline(offlineActivation, d.activateBundleOffline))
	g.POST("/deactivate_bundle_offline", write, d.offline(offlineDeactivation, d.deactivateBundleOffline))
}

// ofBundle makes a handler of calls about a whole bundle of one for calls about a license.
func (d *Dialect) ofBundle(handle func(*gin.Context, *subject) error) func(*gin.Context, *subject) error {
	return func(c *gin.Context, s *subject) error {
		if err := s.takeWhole(signerOf(c)); err != nil {
			return err
		}
		return handle(c, s)
	}
}

// takeWhole makes the call one about all products of the bundle.
func (s *subject) takeWhole(signer *integration.Signer) error {
	switch {
	case len(s.sold.Bundle) == 0:
		return errUnknownBundle
	case !signer.Integration.Allows(s.sold.Code):
		return errProductNotAllowed
	}
	s.whole = true
	return nil
}

// sold is the product that a call is about, and the one whose licenses it uses: another where the call names the
// bundle. An integration has to be for one of both.
func (d *Dialect) sold(
	ctx context.Context, signer *integration.Signer, r *request,
) (product, sold catalog.Product, err error) {
	if r.BundleCode == "" || r.BundleCode == cmp.Or(r.Product, r.BundleCode) {
		product, err = d.product(ctx, signer, cmp.Or(r.Product, r.BundleCode))
		return product, product, err
	}
	if product, err = d.productNamed(ctx, r.Product); err != nil {
		return product, sold, err
	}
	sold, err = d.productNamed(ctx, r.BundleCode)
	switch {
	case errors.Is(err, errUnknownProduct) || err == nil && len(sold.Bundle) == 0:
		return product, sold, errUnknownBundle
	case err != nil:
		return product, sold, err
	case !slices.Contains(sold.Bundle, product.Code):
		return product, sold, errNotInBundle
	case !signer.Integration.Allows(product.Code) && !signer.Integration.Allows(sold.Code):
		return product, sold, errProductNotAllowed
	}
	product.AuthorizationMethod = sold.AuthorizationMethod // that of the license
	return product, sold, nil
}

// products are those of the bundle that may be used, the one that the call names first.
func (d *Dialect) products(ctx context.Context, s *subject) ([]catalog.Product, error) {
	all := []catalog.Product{} // never null
	for _, code := range s.sold.Bundle {
		p, err := d.Products.Product(ctx, code)
		switch {
		case errors.Is(err, catalog.ErrProductNotFound) || err == nil && !p.IsActive:
			continue
		case err != nil:
			return nil, err
		}
		if p.AuthorizationMethod = s.sold.AuthorizationMethod; p.Code == s.product.Code {
			all = slices.Insert(all, 0, p)
			continue
		}
		all = append(all, p)
	}
	return all, nil
}
