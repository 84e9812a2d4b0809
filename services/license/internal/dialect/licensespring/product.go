package licensespring

import (
	"context"
	"errors"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// How clients say who may use a license.
const (
	byKey  = "license_key"
	byUser = "user"
)

// productBody is a product as licenses show it.
type productBody struct {
	ProductID           int64          `json:"product_id"`
	ProductName         string         `json:"product_name"`
	ShortCode           string         `json:"short_code"`
	AuthorizationMethod string         `json:"authorization_method"`
	Metadata            jsontext.Value `json:"metadata"`
}

func newProduct(p catalog.Product, id int64) productBody {
	b := productBody{
		ProductID:           id,
		ProductName:         p.Name,
		ShortCode:           p.Code,
		AuthorizationMethod: byKey,
		Metadata:            likeJavaScript(p.Metadata),
	}
	if p.AuthorizationMethod == catalog.ByUser {
		b.AuthorizationMethod = byUser
	}
	return b
}

// productDetails is a product by itself. Its terms are those of its trial policy: other licenses have their own.
type productDetails struct {
	ProductID           int64          `json:"product_id"`
	ProductName         string         `json:"product_name"`
	ShortCode           string         `json:"short_code"`
	AllowTrial          bool           `json:"allow_trial"`
	TrialDays           int            `json:"trial_days"`
	AuthorizationMethod string         `json:"authorization_method"`
	FloatingTimeout     int            `json:"floating_timeout"`
	AllowOverages       bool           `json:"allow_overages"`
	MaxOverages         int            `json:"max_overages"`
	PreventVM           bool           `json:"prevent_vm"`
	Metadata            jsontext.Value `json:"metadata"`
	MetadataString      string         `json:"metadata_string,omitzero"`
	Company             company        `json:"company"`
	LatestVersion       string         `json:"latest_version,omitzero"`
	CustomFields        []struct{}     `json:"custom_fields,omitzero"`
}

// newProductDetails shows a product; policy is that of its trials, nil for none.
func newProductDetails(p catalog.Product, id int64, policy *catalog.Policy) productDetails {
	b := newProduct(p, id)
	details := productDetails{
		ProductID:           b.ProductID,
		ProductName:         b.ProductName,
		ShortCode:           b.ShortCode,
		AuthorizationMethod: b.AuthorizationMethod,
		FloatingTimeout:     defaultFloatingTimeout,
		Metadata:            b.Metadata,
		Company:             company{companyID},
	}
	if policy != nil {
		details.AllowTrial, details.TrialDays = true, trialDays(&policy.Terms)
		if policy.Devices != nil {
			details.PreventVM = policy.Devices.PreventVM
		}
	}
	return details
}

// details shows a product with its number and its trials.
func (d *Dialect) details(ctx context.Context, p catalog.Product) (productDetails, error) {
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Product: p.Code})
	if err != nil {
		return productDetails{}, err
	}
	policy, err := d.Trials.Store.TrialPolicy(ctx, p.ID, "")
	return newProductDetails(p, n.Product, policy), err
}

func (d *Dialect) productDetails(c *gin.Context) error {
	r, err := query(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	p, err := d.product(ctx, signerOf(c), r.Product)
	if err != nil {
		return err
	}
	details, err := d.details(ctx, p)
	if err != nil {
		return err
	}
	if r.IncludeLatestVersion {
		newest, err := d.latest(ctx, p.Code, r)
		if err != nil {
			return err
		}
		if newest != nil {
			details.LatestVersion = newest.Version
		}
	}
	if r.IncludeCustomFields {
		details.CustomFields = []struct{}{} // products have none
	}
	if r.IncludeMetadataString {
		details.MetadataString = string(details.Metadata)
	}
	return d.answer(c, details)
}

// maxProducts is how many products the list shows.
const maxProducts = 100

func (d *Dialect) listProducts(c *gin.Context) error {
	ctx := c.Request.Context()
	all, err := d.productsOf(ctx, signerOf(c).Integration)
	if err != nil {
		return err
	}
	list := []productDetails{} // never null
	for _, p := range all {
		if !p.IsActive {
			continue
		}
		details, err := d.details(ctx, p)
		if err != nil {
			return err
		}
		list = append(list, details)
	}
	return d.answer(c, list)
}

// productsOf are the products that an integration is for.
func (d *Dialect) productsOf(ctx context.Context, i *integration.Integration) ([]catalog.Product, error) {
	if len(i.Products) == 0 {
		page, err := d.Products.Products(ctx, licensing.Span{Page: 1, PerPage: maxProducts})
		return page.Items, err
	}
	all := []catalog.Product{}
	for _, code := range i.Products {
		p, err := d.Products.Product(ctx, code)
		if errors.Is(err, catalog.ErrProductNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// nameParts cuts the name of a person before its last word.
func nameParts(name string) (first, last string) {
	name = strings.TrimSpace(name)
	if i := strings.LastIndexByte(name, ' '); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
