package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type productRow struct {
	ID                  string
	Code                string
	Name                string
	AuthorizationMethod string
	IsActive            bool
	MinVersion          string
	Bundle              string
	Metadata            string
	Version             int
	CreatedAt           time.Time
	// UpdatedAt is null for a product of which only its name was ever written.
	UpdatedAt *time.Time
}

// productColumns are those of productRow.
var productColumns = []string{
	"id", "code", "name", "authorization_method", "is_active", "min_version", "bundle", "metadata", "version",
	"created_at", "updated_at",
}

func newProductRow(p *catalog.Product) productRow {
	return productRow{
		ID:                  p.ID,
		Code:                p.Code,
		Name:                p.Name,
		AuthorizationMethod: p.AuthorizationMethod,
		IsActive:            p.IsActive,
		MinVersion:          p.MinVersion,
		Bundle:              encodeCodes(p.Bundle),
		Metadata:            encodeMetadata(p.Metadata),
		Version:             p.Version,
		CreatedAt:           p.CreatedAt,
		UpdatedAt:           nullable(p.UpdatedAt),
	}
}

func (r *productRow) product() catalog.Product {
	p := catalog.Product{
		ID:                  r.ID,
		Code:                r.Code,
		Name:                r.Name,
		AuthorizationMethod: r.AuthorizationMethod,
		IsActive:            r.IsActive,
		MinVersion:          r.MinVersion,
		Metadata:            json.RawMessage(r.Metadata),
		Version:             r.Version,
		CreatedAt:           r.CreatedAt.UTC(),
		UpdatedAt:           r.CreatedAt.UTC(),
	}
	_ = json.Unmarshal([]byte(r.Bundle), &p.Bundle) // written by newProductRow
	if r.UpdatedAt != nil {
		p.UpdatedAt = r.UpdatedAt.UTC()
	}
	return p
}

// CreateProduct implements catalog.ProductStore.
func (s *Store) CreateProduct(ctx context.Context, p catalog.Product, events []proto.Message) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.lockProducts(tx, p.Bundle); err != nil {
			return err
		}
		if err := checkBundle(tx, &p); err != nil {
			return err
		}
		row := newProductRow(&p)
		if err := tx.Table("products").Create(&row).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	})
	return duplicate(err, catalog.ErrProductExists)
}

// Product implements catalog.ProductStore.
func (s *Store) Product(ctx context.Context, code string) (catalog.Product, error) {
	return findProduct(s.db.Read(ctx), code)
}

func findProduct(tx *gorm.DB, code string) (catalog.Product, error) {
	var row productRow
	err := tx.Table("products").Select(productColumns).Where("code = ?", code).Take(&row).Error
	return row.product(), missing(err, catalog.ErrProductNotFound)
}

// Products implements catalog.ProductStore.
func (s *Store) Products(ctx context.Context, span licensing.Span) (licensing.Page[catalog.Product], error) {
	all := func() *gorm.DB { return s.db.Read(ctx).Table("products") }
	return readPage(all, productColumns, span, byCode(func(r *productRow) string { return r.Code }),
		(*productRow).product)
}

// ChangeProduct implements catalog.ProductStore.
func (s *Store) ChangeProduct(
	ctx context.Context, code string, bundle []string, decide func(*catalog.Product) ([]proto.Message, error),
) (p catalog.Product, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.lockProducts(tx, append([]string{code}, bundle...)); err != nil {
			return err
		}
		if p, err = findProduct(tx, code); err != nil {
			return err
		}
		before := p.Bundle
		events, err := decide(&p)
		if err != nil || len(events) == 0 {
			return err
		}
		if !slices.Equal(before, p.Bundle) {
			if err := checkBundle(tx, &p); err != nil {
				return err
			}
		}
		row := newProductRow(&p)
		res := tx.Table("products").Where("id = ?", p.ID).Select("*").Omit("id", "code", "created_at").
			UpdateColumns(&row)
		if err := wroteOne(res, "product"); err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	})
	return p, duplicate(err, catalog.ErrProductExists)
}

// DeleteProduct implements catalog.ProductStore. A license that is just being made holds its product.
func (s *Store) DeleteProduct(
	ctx context.Context, code string, decide func(*catalog.Product) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		p, err := findProduct(s.db.Lock(tx), code)
		if err != nil {
			return err
		}
		events, err := decide(&p)
		if err != nil {
			return err
		}
		if err := productUnused(tx, &p); err != nil {
			return err
		}
		for _, statement := range []string{"DELETE FROM releases WHERE product_id = ?",
			"DELETE FROM products WHERE id = ?"} {
			if err := tx.Exec(statement, p.ID).Error; err != nil {
				return err
			}
		}
		return s.publish(ctx, tx, p.ID, events)
	}))
}

// productUnused refuses a product that a license, a policy, a user or a bundle names.
func productUnused(tx *gorm.DB, p *catalog.Product) error {
	for _, q := range []*gorm.DB{
		tx.Table("licenses").Where("product_id = ?", p.ID),
		tx.Table("policies").Where("product_id = ?", p.ID),
		tx.Table("users").Where("product_id = ?", p.ID),
		inBundles(tx, p.Code),
	} {
		var used []string
		if err := q.Limit(1).Pluck("id", &used).Error; err != nil {
			return err
		}
		if len(used) > 0 {
			return catalog.ErrProductInUse
		}
	}
	return nil
}

// inBundles selects the bundles with a product. In JSON a code stands between quotes. LIKE would take a code for one in
// another case, on SQLite alone.
func inBundles(tx *gorm.DB, code string) *gorm.DB {
	return tx.Table("products").Where("replace(bundle, ?, '') <> bundle", `"`+code+`"`)
}

// checkBundle refuses a bundle of products that are not there, or are bundles: a bundle in a bundle would not be
// opened. All of them must be locked, or each of two changes at once would miss what the other makes.
func checkBundle(tx *gorm.DB, p *catalog.Product) error {
	if len(p.Bundle) == 0 {
		return nil
	}
	if err := checkProducts(tx, "bundle", p.Bundle); err != nil {
		return err
	}
	var inner []string
	err := tx.Table("products").Where("code IN ? AND bundle <> '[]'", p.Bundle).Order("code").Limit(1).
		Pluck("code", &inner).Error
	if err != nil {
		return err
	}
	if len(inner) > 0 {
		return apierr.InvalidField("bundle", inner[0]+" is a bundle itself; name its products instead")
	}
	var outer int64
	err = inBundles(tx, p.Code).Count(&outer).Error
	if err == nil && outer > 0 {
		err = apierr.InvalidField("bundle", "must be empty: the product is in a bundle itself")
	}
	return err
}

// encodeCodes is a list of codes as JSON, never null.
func encodeCodes(codes []string) string {
	encoded, err := json.Marshal(append([]string{}, codes...))
	if err != nil {
		panic("store: " + err.Error()) // of texts none fails
	}
	return string(encoded)
}

// namedProducts finds the products that licenses name, by their codes or else by their names, and makes those that are
// not there. They are held: nobody deletes them before the licenses are there.
func (s *Store) namedProducts(ctx context.Context, tx *gorm.DB, texts []string) (map[string]productRow, error) {
	named, err := holdProducts(tx, texts)
	if err != nil {
		return nil, err
	}
	for _, p := range unknownProducts(texts, named, s.clock.Now()) {
		if named[p.Name], err = s.makeProduct(ctx, tx, p); err != nil {
			return nil, err
		}
	}
	return named, nil
}

// unknownProducts are the products to be made of texts that name none, in the order of their codes.
func unknownProducts(texts []string, known map[string]productRow, now time.Time) []catalog.Product {
	var unknown []catalog.Product
	for _, text := range slices.Compact(slices.Sorted(slices.Values(texts))) {
		if _, ok := known[text]; !ok {
			unknown = append(unknown, catalog.Named(text, now))
		}
	}
	slices.SortStableFunc(unknown, func(a, b catalog.Product) int { return strings.Compare(a.Code, b.Code) })
	return unknown
}

func (s *Store) makeProduct(ctx context.Context, tx *gorm.DB, p catalog.Product) (row productRow, err error) {
	for range 2 {
		made := newProductRow(&p)
		res := tx.Table("products").Clauses(clause.OnConflict{DoNothing: true}).Create(&made)
		if res.Error != nil {
			return row, res.Error
		}
		if res.RowsAffected == 1 {
			return made, s.publish(ctx, tx, p.ID, []proto.Message{p.Created()})
		}
		// Somebody else was faster, or another product has the code.
		if row, err = holdProduct(tx, p.Name); !errors.Is(err, db.ErrNotFound) {
			return row, err
		}
		p.Recode()
	}
	return row, err
}

// codedProduct is the product that a member of a call names by its code; it is held as in namedProducts. Errors:
// VALIDATION_ERROR, with the code that may be meant.
func codedProduct(tx *gorm.DB, code string) (productRow, error) {
	row, err := holdProduct(tx, code)
	if err == nil && row.Code == code || err != nil && !errors.Is(err, db.ErrNotFound) {
		return row, err
	}
	return row, unknownProduct(tx, "product", code)
}

// unknownProduct refuses a member of a call for a code that no product has, and names the one that may be meant.
func unknownProduct(tx *gorm.DB, member, code string) error {
	var codes []string
	err := tx.Session(&gorm.Session{NewDB: true}).Table("products").Order("code").Limit(1000).
		Pluck("code", &codes).Error
	if err != nil {
		return err
	}
	problem := "no product has this code"
	if near := nearest.Name(code, codes); near != "" {
		problem += "; did you mean " + near + "?"
	}
	return apierr.InvalidField(member, problem)
}

func holdProduct(tx *gorm.DB, text string) (productRow, error) {
	held, err := holdProducts(tx, []string{text})
	row, ok := held[text]
	if err == nil && !ok {
		err = db.ErrNotFound
	}
	return row, err
}

// holdProducts finds products by texts, each the code or else the name of one, and keeps them from being deleted.
func holdProducts(tx *gorm.DB, texts []string) (map[string]productRow, error) {
	var rows []productRow
	err := tx.Clauses(clause.Locking{Strength: "KEY SHARE"}).Table("products").Select(productColumns).
		Where(clause.Or(db.In("code", texts), db.In("name", texts))).Order("code").Find(&rows).Error
	named := make(map[string]productRow, len(texts))
	for _, row := range rows {
		named[row.Name] = row
	}
	for _, row := range rows {
		named[row.Code] = row
	}
	return named, err
}

// lockProducts locks the products that are there for a change.
func (s *Store) lockProducts(tx *gorm.DB, codes []string) error {
	if len(codes) == 0 {
		return nil
	}
	return s.lockRows(tx, "products", "code", db.In("code", codes))
}

// missing is notFound where there is no such row.
func missing(err, notFound error) error {
	if errors.Is(err, db.ErrNotFound) {
		return notFound
	}
	return db.Error(err)
}

// duplicate is taken where a unique index refused a row.
func duplicate(err, taken error) error {
	if db.IsDuplicate(err) {
		return taken
	}
	return db.Error(err)
}
