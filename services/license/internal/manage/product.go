package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// productBody is a product as the public API shows it.
type productBody struct {
	ProductID           string          `json:"product_id"`
	Code                string          `json:"code"`
	Name                string          `json:"name"`
	AuthorizationMethod string          `json:"authorization_method"`
	IsActive            bool            `json:"is_active"`
	MinVersion          *string         `json:"min_version"`
	Bundle              []string        `json:"bundle"`
	Metadata            json.RawMessage `json:"metadata"`
	Version             int             `json:"version"`
	CreatedAt           time.Time       `json:"created_at"`
	UpdatedAt           time.Time       `json:"updated_at"`
}

func newProductBody(p catalog.Product) productBody {
	return productBody{
		ProductID:           p.ID,
		Code:                p.Code,
		Name:                p.Name,
		AuthorizationMethod: p.AuthorizationMethod,
		IsActive:            p.IsActive,
		MinVersion:          httpx.TextOrNull(p.MinVersion),
		Bundle:              append([]string{}, p.Bundle...),
		Metadata:            object(p.Metadata),
		Version:             p.Version,
		CreatedAt:           p.CreatedAt.UTC(),
		UpdatedAt:           p.UpdatedAt.UTC(),
	}
}

// newProduct is a product to create.
type newProduct struct {
	Code                string          `json:"code" text:"identifier"`
	Name                *string         `json:"name" text:"identifier"`
	AuthorizationMethod *string         `json:"authorization_method" text:"identifier"`
	IsActive            *bool           `json:"is_active"`
	MinVersion          *string         `json:"min_version" text:"identifier"`
	Bundle              []string        `json:"bundle" text:"identifier" max:"50"`
	Metadata            jsonbody.Object `json:"metadata"`
}

// Unsettable implements jsonbody.Unsettable.
func (newProduct) Unsettable() map[string]string { return madeMembers("product_id") }

// madeMembers are the members that what is shown by name has, and that nobody sets.
func madeMembers(id string) map[string]string {
	return map[string]string{id: "it is made", "version": "", "created_at": "", "updated_at": ""}
}

func (n newProduct) wanted() catalog.NewProduct {
	return catalog.NewProduct{Code: n.Code, ProductChange: catalog.ProductChange{
		Name:                n.Name,
		AuthorizationMethod: n.AuthorizationMethod,
		IsActive:            n.IsActive,
		MinVersion:          n.MinVersion,
		Bundle:              &n.Bundle,
		Metadata:            (*json.RawMessage)(&n.Metadata),
	}}
}

// productChange is what PATCH takes: only the members that are present change.
type productChange struct {
	Name                jsonbody.Optional[string]          `json:"name" text:"identifier"`
	AuthorizationMethod jsonbody.Optional[string]          `json:"authorization_method" text:"identifier"`
	IsActive            jsonbody.Optional[bool]            `json:"is_active"`
	MinVersion          jsonbody.Optional[string]          `json:"min_version" null:"ok" text:"identifier"`
	Bundle              jsonbody.Optional[[]string]        `json:"bundle" text:"identifier" max:"50"`
	Metadata            jsonbody.Optional[jsonbody.Object] `json:"metadata"`
}

// Unsettable implements jsonbody.Unsettable.
func (productChange) Unsettable() map[string]string { return fixedMembers("product_id") }

// fixedMembers are the members of what is shown by name that a change cannot change.
func fixedMembers(id string) map[string]string {
	return map[string]string{
		id: "it cannot change", "code": "it never changes", "version": "send the ETag in If-Match", "created_at": "",
		"updated_at": "",
	}
}

func (p productChange) change() catalog.ProductChange {
	return catalog.ProductChange{
		Name:                p.Name.Pointer(),
		AuthorizationMethod: p.AuthorizationMethod.Pointer(),
		IsActive:            p.IsActive.Pointer(),
		MinVersion:          p.MinVersion.Pointer(),
		Bundle:              p.Bundle.Pointer(),
		Metadata:            (*json.RawMessage)(p.Metadata.Pointer()),
	}
}

func (m *Manage) createProduct(c *gin.Context) error {
	var in newProduct
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (productBody, error) {
		p, err := m.Products.Create(ctx, by, in.wanted())
		return newProductBody(p), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusCreated, body.Version, body)
}

func (m *Manage) listProducts(c *gin.Context) error {
	return answerList(c, inCodes, m.Products.Store.Products, func(items []catalog.Product, page pageBody) any {
		return struct {
			Products []productBody `json:"products"`
			pageBody
		}{bodies(items, newProductBody), page}
	})
}

// bodies are items as they are shown, never null.
func bodies[T, B any](items []T, show func(T) B) []B {
	shown := make([]B, len(items))
	for i, item := range items {
		shown[i] = show(item)
	}
	return shown
}

func (m *Manage) getProduct(c *gin.Context) error {
	p, err := m.Products.Store.Product(c.Request.Context(), code(c))
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, p.Version, newProductBody(p))
}

func (m *Manage) updateProduct(c *gin.Context) error {
	var in productChange
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	p, err := m.Products.Update(c.Request.Context(), rpc.ActorOf(c), code(c), version, in.change())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, p.Version, newProductBody(p))
}

type deletedCode struct {
	Code    string `json:"code"`
	Deleted bool   `json:"deleted"`
}

// deleteProduct removes a product that nothing names.
func (m *Manage) deleteProduct(c *gin.Context) error {
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	if err := m.Products.Delete(c.Request.Context(), rpc.ActorOf(c), code(c), version); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, deletedCode{Code: code(c), Deleted: true})
	return nil
}
