package licensespring

import (
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

// productDetails is a product by itself. Terms are those of licenses and policies, so that what clients look for here
// is empty.
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
}

func newProductDetails(p catalog.Product, id int64) productDetails {
	b := newProduct(p, id)
	return productDetails{
		ProductID:           b.ProductID,
		ProductName:         b.ProductName,
		ShortCode:           b.ShortCode,
		AuthorizationMethod: b.AuthorizationMethod,
		FloatingTimeout:     defaultFloatingTimeout,
		Metadata:            b.Metadata,
		Company:             company{companyID},
	}
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
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Product: p.Code})
	if err != nil {
		return err
	}
	details := newProductDetails(p, n.Product)
	if r.IncludeMetadataString {
		details.MetadataString = string(details.Metadata)
	}
	return d.answer(c, details)
}

// maxProducts is how many products the list shows.
const maxProducts = 100

func (d *Dialect) products(c *gin.Context) error {
	ctx := c.Request.Context()
	page, err := d.Products.Products(ctx, licensing.Span{Page: 1, PerPage: maxProducts})
	if err != nil {
		return err
	}
	list := []productDetails{} // never null
	for _, p := range page.Items {
		if !p.IsActive || !signerOf(c).Integration.Allows(p.Code) {
			continue
		}
		n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Product: p.Code})
		if err != nil {
			return err
		}
		list = append(list, newProductDetails(p, n.Product))
	}
	return d.answer(c, list)
}

// nameParts cuts the name of a person before its last word.
func nameParts(name string) (first, last string) {
	name = strings.TrimSpace(name)
	if i := strings.LastIndexByte(name, ' '); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
