package store

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// policyRow mirrors the table policies. Product is read from products, never written.
type policyRow struct {
	ID        string
	Code      string
	Name      string
	ProductID *string
	Product   *string `gorm:"<-:false"`
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
	Terms     termsRow `gorm:"embedded"`
}

// policyColumns reads a policy together with the code of its product.
var policyColumns = db.Columns("policies", policyRow{}, "product") +
	", (SELECT code FROM products WHERE products.id = policies.product_id) AS product"

func newPolicyRow(p *catalog.Policy) policyRow {
	return policyRow{
		ID:        p.ID,
		Code:      p.Code,
		Name:      p.Name,
		Version:   p.Version,
		CreatedAt: p.CreatedAt,
		UpdatedAt: p.UpdatedAt,
		Terms:     newTermsRow(&p.Terms),
	}
}

func (r *policyRow) policy() catalog.Policy {
	return catalog.Policy{
		ID:        r.ID,
		Name:      r.Name,
		Policy:    licensing.Policy{Code: r.Code, Product: textOrNone(r.Product), Terms: r.Terms.terms()},
		Version:   r.Version,
		CreatedAt: r.CreatedAt.UTC(),
		UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// CreatePolicy implements catalog.PolicyStore.
func (s *Store) CreatePolicy(ctx context.Context, p catalog.Policy, events []proto.Message) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		row := newPolicyRow(&p)
		if p.Product != "" {
			product, err := codedProduct(tx, p.Product)
			if err != nil {
				return err
			}
			row.ProductID = &product.ID
		}
		if err := tx.Table("policies").Create(&row).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	})
	return duplicate(err, catalog.ErrPolicyExists)
}

// FindPolicy implements catalog.PolicyStore.
func (s *Store) FindPolicy(ctx context.Context, code string) (catalog.Policy, error) {
	return findPolicy(s.db.Read(ctx), code)
}

func findPolicy(tx *gorm.DB, code string) (catalog.Policy, error) {
	var row policyRow
	err := tx.Table("policies").Select(policyColumns).Where("code = ?", code).Take(&row).Error
	return row.policy(), missing(err, catalog.ErrPolicyNotFound)
}

// Policies implements catalog.PolicyStore.
func (s *Store) Policies(ctx context.Context, span licensing.Span) (licensing.Page[catalog.Policy], error) {
	all := func() *gorm.DB { return s.db.Read(ctx).Table("policies") }
	return readPage(all, policyColumns, span, byCode(func(r *policyRow) string { return r.Code }), (*policyRow).policy)
}

// ChangePolicy implements catalog.PolicyStore.
func (s *Store) ChangePolicy(
	ctx context.Context, code string, decide func(*catalog.Policy) ([]proto.Message, error),
) (p catalog.Policy, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if p, err = findPolicy(s.db.Lock(tx), code); err != nil {
			return err
		}
		events, err := decide(&p)
		if err != nil || len(events) == 0 {
			return err
		}
		row := newPolicyRow(&p)
		res := tx.Table("policies").Where("id = ?", p.ID).Select("*").
			Omit("id", "code", "product_id", "Product", "created_at").UpdateColumns(&row)
		if err := wroteOne(res, "policy"); err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	})
	return p, db.Error(err)
}

// DeletePolicy implements catalog.PolicyStore.
func (s *Store) DeletePolicy(
	ctx context.Context, code string, decide func(*catalog.Policy) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		p, err := findPolicy(s.db.Lock(tx), code)
		if err != nil {
			return err
		}
		events, err := decide(&p)
		if err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM policies WHERE id = ?", p.ID).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	}))
}

// Policy implements licensing.Reads.
func (s *Store) Policy(ctx context.Context, code string) (*licensing.Policy, error) {
	p, err := s.FindPolicy(ctx, code)
	if errors.Is(err, catalog.ErrPolicyNotFound) {
		return nil, nil
	}
	return &p.Policy, err
}

// PolicyCodes implements licensing.Reads.
func (s *Store) PolicyCodes(ctx context.Context) (codes []string, err error) {
	err = s.db.Read(ctx).Table("policies").Order("code").Limit(1000).Pluck("code", &codes).Error
	return codes, db.Error(err)
}
