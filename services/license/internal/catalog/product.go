package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// How the licenses of a product are used: by their keys, or by users who sign in.
const (
	ByKey  = "key"
	ByUser = "user"
)

// Product is what licenses are for.
type Product struct {
	// ID is a UUID.
	ID string
	// Code never changes.
	Code string
	// Name is unique too: a license may name its product by it.
	Name string
	// AuthorizationMethod is ByKey or ByUser.
	AuthorizationMethod string
	IsActive            bool
	// MinVersion is the oldest version of the application that may be used, empty for any.
	MinVersion string
	// Bundle is the codes of the products that a license of this one is for, in the order in which they are shown. It
	// is empty for a product that is no bundle.
	Bundle []string
	// Metadata is a JSON object, byte for byte as the vendor sent it.
	Metadata json.RawMessage
	// Version grows with each change.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Products are the use cases of administrators for products and their releases.
type Products struct {
	Store ProductStore
	Clock clock.Clock
}

// NewProduct is what an administrator says of a product to be made; nil members take their defaults.
type NewProduct struct {
	Code string
	ProductChange
}

// ProductChange changes the members that are not nil.
type ProductChange struct {
	Name                *string
	AuthorizationMethod *string
	IsActive            *bool
	MinVersion          *string
	Bundle              *[]string
	Metadata            *json.RawMessage
}

// Create makes a product. Errors: VALIDATION_ERROR, ErrProductExists.
func (s *Products) Create(ctx context.Context, by *licensing.Actor, n NewProduct) (Product, error) {
	now := s.Clock.Now()
	p := Product{
		ID:                  newID(),
		Code:                n.Code,
		Name:                n.Code,
		AuthorizationMethod: ByKey,
		IsActive:            true,
		Version:             1,
		CreatedAt:           now,
		UpdatedAt:           now,
	}
	problems := map[string]string{}
	checkCode(problems, p.Code)
	p.apply(&n.ProductChange)
	p.problems(problems)
	if len(problems) > 0 {
		return Product{}, apierr.InvalidFields(problems)
	}
	err := s.Store.CreateProduct(ctx, p, []proto.Message{
		p.Created(), audited(by, "product.create", nil, p.auditView()),
	})
	return p, err
}

// Update changes a product that has the version, where that is not nil. A change that changes nothing publishes
// nothing. Errors: VALIDATION_ERROR, ErrProductNotFound, VERSION_MISMATCH.
func (s *Products) Update(
	ctx context.Context, by *licensing.Actor, code string, version licensing.Versions, change ProductChange,
) (Product, error) {
	tried := Product{Name: "any", AuthorizationMethod: ByKey}
	tried.apply(&change)
	problems := map[string]string{}
	if tried.problems(problems); len(problems) > 0 {
		return Product{}, apierr.InvalidFields(problems)
	}
	return s.Store.ChangeProduct(ctx, code, tried.Bundle, func(p *Product) ([]proto.Message, error) {
		if err := licensing.CheckVersion(version, p.Version); err != nil {
			return nil, err
		}
		before := p.auditView()
		p.apply(&change)
		if slices.Contains(p.Bundle, p.Code) {
			return nil, apierr.InvalidField("bundle", "must not name the product itself")
		}
		was, is := audit.Changes(before, p.auditView())
		if len(is) == 0 {
			return nil, nil
		}
		p.Version++
		p.UpdatedAt = s.Clock.Now()
		return []proto.Message{
			&eventsv1.ProductUpdated{Product: p.snapshot(), Changed: slices.Sorted(maps.Keys(is))},
			p.audited(by, "product.update", was, is),
		}, nil
	})
}

// Delete removes a product that no license and no policy names, and its releases. Errors: ErrProductNotFound,
// VERSION_MISMATCH, ErrProductInUse.
func (s *Products) Delete(ctx context.Context, by *licensing.Actor, code string, version licensing.Versions) error {
	return s.Store.DeleteProduct(ctx, code, func(p *Product) ([]proto.Message, error) {
		if p.Code == licensing.DefaultProduct {
			return nil, ErrProductInUse
		}
		if err := licensing.CheckVersion(version, p.Version); err != nil {
			return nil, err
		}
		return []proto.Message{
			&eventsv1.ProductDeleted{Product: p.snapshot()}, audited(by, "product.delete", p.auditView(), nil),
		}, nil
	})
}

func (p *Product) apply(c *ProductChange) {
	set(&p.Name, c.Name)
	set(&p.AuthorizationMethod, c.AuthorizationMethod)
	set(&p.IsActive, c.IsActive)
	set(&p.MinVersion, c.MinVersion)
	set(&p.Bundle, c.Bundle)
	set(&p.Metadata, c.Metadata)
	p.Metadata = object(p.Metadata)
}

// problems notes what is wrong with the members that may change, by their public names.
func (p *Product) problems(problems map[string]string) {
	checkName(problems, p.Name)
	checkText(problems, "min_version", p.MinVersion, maxVersion)
	if p.AuthorizationMethod != ByKey && p.AuthorizationMethod != ByUser {
		problems["authorization_method"] = `must be "key" or "user"`
	}
	p.bundleProblems(problems)
	if len(p.Metadata) > maxMetadataBytes {
		problems["metadata"] = "must be at most 64 KiB of JSON"
	} else if bytes.TrimSpace(p.Metadata)[0] != '{' {
		problems["metadata"] = "must be an object"
	}
}

// bundleProblems leaves to the store whether the products are there.
func (p *Product) bundleProblems(problems map[string]string) {
	sorted := slices.Sorted(slices.Values(p.Bundle))
	switch {
	case len(p.Bundle) > maxBundle:
		problems["bundle"] = fmt.Sprintf("must have at most %d entries", maxBundle)
	case len(slices.Compact(sorted)) < len(p.Bundle):
		problems["bundle"] = "must name each product once"
	case slices.Contains(p.Bundle, p.Code):
		problems["bundle"] = "must not name the product itself"
	}
}

func (p *Product) snapshot() *eventsv1.Product {
	return &eventsv1.Product{
		ProductId:           p.ID,
		Code:                p.Code,
		Name:                p.Name,
		AuthorizationMethod: p.AuthorizationMethod,
		IsActive:            p.IsActive,
		MinVersion:          p.MinVersion,
		Bundle:              p.Bundle,
		Version:             int32(p.Version),
	}
}

// auditView is what the audit log shows of a product, in the form of the public API.
func (p *Product) auditView() map[string]any {
	return map[string]any{
		"code": p.Code, "name": p.Name, "authorization_method": p.AuthorizationMethod, "is_active": p.IsActive,
		"min_version": textValue(p.MinVersion), "bundle": append([]string{}, p.Bundle...),
		"metadata": object(p.Metadata),
	}
}

// audited is an entry about a change of the product, which names it.
func (p *Product) audited(by *licensing.Actor, action string, was, is map[string]any) proto.Message {
	return audited(by, action, was, withCode(is, "code", p.Code))
}

// withCode adds to the members that changed what they belong to.
func withCode(members map[string]any, name, code string) map[string]any {
	members = maps.Clone(members)
	members[name] = code
	return members
}

// textValue is null for an empty text.
func textValue(text string) any {
	if text == "" {
		return nil
	}
	return text
}

var notInCodes = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// maxMadeCode leaves room for what Product.Recode appends.
const maxMadeCode = 55

// Named is the product that a license names which does not exist yet: the text is its name, and a code is made of it.
func Named(text string, now time.Time) Product {
	code := text
	if !IsCode(text) {
		code = strings.Trim(notInCodes.ReplaceAllString(text, "-"), "-")
		code = cmp.Or(code[:min(len(code), maxMadeCode)], "product")
	}
	return Product{
		ID:                  newID(),
		Code:                code,
		Name:                text,
		AuthorizationMethod: ByKey,
		IsActive:            true,
		Metadata:            object(nil),
		Version:             1,
		CreatedAt:           now,
		UpdatedAt:           now,
	}
}

// Recode gives a product whose code is taken one that is not: the end of its id follows.
func (p *Product) Recode() {
	p.Code = p.Code[:min(len(p.Code), maxMadeCode)] + "-" + p.ID[len(p.ID)-8:]
}

// Created is the event of a product that was made.
func (p *Product) Created() proto.Message { return &eventsv1.ProductCreated{Product: p.snapshot()} }
