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
		if err := s.requireBundle(signerOf(c)); err != nil {
			return err
		}
		return handle(c, s)
	}
}

// requireBundle makes the call one about all products of the bundle.
func (s *subject) requireBundle(signer *integration.Signer) error {
	switch {
	case len(s.licensed.Bundle) == 0:
		return errUnknownBundle
	case !signer.Integration.Allows(s.licensed.Code):
		return errProductNotAllowed
	}
	s.wholeBundle = true
	return nil
}

// productAndLicensed is the product that a call is about, and the one whose licenses it uses: another where the call
// names the bundle. An integration has to be for one of both.
func (d *Dialect) productAndLicensed(
	ctx context.Context, signer *integration.Signer, r *request,
) (product, licensed catalog.Product, err error) {
	if r.BundleCode == "" || r.BundleCode == cmp.Or(r.Product, r.BundleCode) {
		product, err = d.product(ctx, signer, cmp.Or(r.Product, r.BundleCode))
		return product, product, err
	}
	if product, err = d.productNamed(ctx, r.Product); err != nil {
		return product, licensed, err
	}
	licensed, err = d.productNamed(ctx, r.BundleCode)
	switch {
	case errors.Is(err, errUnknownProduct) || err == nil && len(licensed.Bundle) == 0:
		return product, licensed, errUnknownBundle
	case err != nil:
		return product, licensed, err
	case !slices.Contains(licensed.Bundle, product.Code):
		return product, licensed, errNotInBundle
	case !signer.Integration.Allows(product.Code) && !signer.Integration.Allows(licensed.Code):
		return product, licensed, errProductNotAllowed
	}
	product.AuthorizationMethod = licensed.AuthorizationMethod // that of the license
	return product, licensed, nil
}

// products are those of the bundle that may be used, the one that the call names first.
func (d *Dialect) products(ctx context.Context, s *subject) ([]catalog.Product, error) {
	all := []catalog.Product{} // never null
	for _, code := range s.licensed.Bundle {
		p, err := d.Products.Product(ctx, code)
		switch {
		case errors.Is(err, catalog.ErrProductNotFound) || err == nil && !p.IsActive:
			continue
		case err != nil:
			return nil, err
		}
		if p.AuthorizationMethod = s.licensed.AuthorizationMethod; p.Code == s.product.Code {
			all = slices.Insert(all, 0, p)
			continue
		}
		all = append(all, p)
	}
	return all, nil
}
