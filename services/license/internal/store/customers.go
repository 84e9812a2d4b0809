package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// customerRow mirrors the table customers.
type customerRow struct {
	ID         string
	CustomerID string
	Name       string
	Email      string
	Company    string
	Phone      string
	Address    customer.Address `gorm:"serializer:json"`
	Metadata   string
	EmailKey   string
	CompanyKey string
	Version    int
	CreatedAt  time.Time
	UpdatedAt  time.Time
	ErasedAt   *time.Time
}

func newCustomerRow(c *customer.Customer) customerRow {
	return customerRow{
		ID:         c.ID,
		CustomerID: c.CustomerID,
		Name:       c.Name,
		Email:      c.Email,
		Company:    c.Company,
		Phone:      c.Phone,
		Address:    c.Address,
		Metadata:   encodeMetadata(c.Metadata),
		EmailKey:   strings.ToLower(c.Email),
		CompanyKey: strings.ToLower(c.Company),
		Version:    c.Version,
		CreatedAt:  c.CreatedAt,
		UpdatedAt:  c.UpdatedAt,
		ErasedAt:   nullable(c.ErasedAt),
	}
}

func (r *customerRow) customer() customer.Customer {
	return customer.Customer{
		ID:         r.ID,
		CustomerID: r.CustomerID,
		Profile: customer.Profile{
			Name:     r.Name,
			Email:    r.Email,
			Company:  r.Company,
			Phone:    r.Phone,
			Address:  r.Address,
			Metadata: json.RawMessage(r.Metadata),
		},
		Version:   r.Version,
		CreatedAt: r.CreatedAt.UTC(),
		UpdatedAt: r.UpdatedAt.UTC(),
		ErasedAt:  value(r.ErasedAt),
	}
}

// addCustomers makes the customers that licenses name and that nobody knows yet, in one statement and in their order.
// rows are the ids of their rows, if it was this that made them.
func addCustomers(tx *gorm.DB, customerIDs []string, at time.Time) (rows map[string]string, err error) {
	ids := slices.Compact(slices.Sorted(slices.Values(customerIDs)))
	if len(ids) == 0 {
		return nil, nil
	}
	made := make([]customerRow, len(ids))
	rows = make(map[string]string, len(ids))
	for i, id := range ids {
		c := customer.New(id, at)
		made[i], rows[id] = newCustomerRow(&c), c.ID
	}
	return rows, tx.Table("customers").Clauses(onConflictDoNothing("customer_id")).Create(&made).Error
}

// forgetCustomers takes back what addCustomers made. Until the transaction ends, nobody else makes them.
func forgetCustomers(tx *gorm.DB, rows []string) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Table("customers").Where(db.In("id", rows)).Delete(nil).Error
}

// moveCustomer notes that a license belongs to another customer than before.
func (s *Store) moveCustomer(tx *gorm.DB, before, after *licensing.License) error {
	if before.CustomerID == after.CustomerID {
		return nil
	}
	if _, err := addCustomers(tx, []string{after.CustomerID}, s.clock.Now()); err != nil {
		return err
	}
	return tx.Exec("INSERT INTO former_customers (customer_id, license_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
		before.CustomerID, after.ID).Error
}

// Customer implements customer.Store.
func (s *Store) Customer(ctx context.Context, customerID string) (customer.Customer, error) {
	c, err := findCustomer(s.db.Read(ctx), customerID)
	if !errors.Is(err, customer.ErrNotFound) || s.db.ReadOnly() {
		return c, db.Error(err)
	}
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := meetByLicense(tx, customerID); err != nil {
			return err
		}
		c, err = findCustomer(tx, customerID)
		return err
	})
	return c, db.Error(err)
}

func findCustomer(tx *gorm.DB, customerID string) (customer.Customer, error) {
	var row customerRow
	err := tx.Table("customers").Where("customer_id = ?", customerID).Take(&row).Error
	return row.customer(), missing(err, customer.ErrNotFound)
}

// firsts selects the first license of each customer that is not there.
const firsts = `SELECT customer_id, created_at FROM licenses WHERE NOT EXISTS (
		SELECT 1 FROM customers WHERE customers.customer_id = licenses.customer_id
	) AND NOT EXISTS (
		SELECT 1 FROM licenses AS other
		WHERE other.customer_id = licenses.customer_id
		AND (other.created_at, other.id) < (licenses.created_at, licenses.id)
	)`

// meetByLicense makes a customer of whom nothing but a license tells: the license is older than the table of customers,
// or was made by a program that knows none.
func meetByLicense(tx *gorm.DB, customerID string) error {
	_, err := meetSome(tx, firsts+" AND customer_id = ?", customerID)
	return err
}

// meetSome makes the customers that a statement finds, and returns their ids.
func meetSome(tx *gorm.DB, statement string, params ...any) (ids []string, err error) {
	var found []struct {
		CustomerID string
		CreatedAt  time.Time
	}
	if err := tx.Raw(statement, params...).Scan(&found).Error; err != nil || len(found) == 0 {
		return nil, err
	}
	rows := make([]customerRow, len(found))
	for i, f := range found {
		c := customer.New(f.CustomerID, f.CreatedAt.UTC())
		rows[i], ids = newCustomerRow(&c), append(ids, c.CustomerID)
	}
	return ids, tx.Table("customers").Clauses(onConflictDoNothing("customer_id")).Create(&rows).Error
}

// AddMissingCustomers makes, in small batches, the customers of all licenses that have none yet, and returns how many.
func (s *Store) AddMissingCustomers(ctx context.Context) (total int, err error) {
	for last := ""; ; {
		var ids []string
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) (err error) {
			ids, err = meetSome(tx, firsts+" AND customer_id > ? ORDER BY customer_id LIMIT ?", last, pruneBatch)
			return err
		})
		if total += len(ids); err != nil || len(ids) < pruneBatch {
			return total, db.Error(err)
		}
		last = ids[len(ids)-1]
	}
}

// ofProducts selects the customers who have a license or a user of some products.
const ofProducts = `(EXISTS (
		SELECT 1 FROM licenses JOIN products ON products.id = licenses.product_id
		WHERE licenses.customer_id = customers.customer_id AND @wanted
	) OR EXISTS (
		SELECT 1 FROM users JOIN products ON products.id = users.product_id
		WHERE users.customer_id = customers.customer_id AND @wanted
	))`

// Customers implements customer.Store.
func (s *Store) Customers(
	ctx context.Context, f customer.Filter, span licensing.Span,
) (licensing.Page[customer.Customer], error) {
	q := func() *gorm.DB { return s.db.Read(ctx).Table("customers") }
	if f.CustomerID != "" {
		all := q
		q = func() *gorm.DB { return all().Where("customer_id = ?", f.CustomerID) }
	}
	if f.Email != "" {
		all := q
		q = func() *gorm.DB { return all().Where("email_key = ?", strings.ToLower(f.Email)) }
	}
	if len(f.Products) > 0 {
		all := q
		q = func() *gorm.DB {
			return all().Where(ofProducts, sql.Named("wanted", db.In("products.code", f.Products)))
		}
	}
	if f.Search != "" {
		condition, err := s.customersLike(ctx, f.Search)
		if err != nil {
			return licensing.Page[customer.Customer]{}, err
		}
		all := q
		q = func() *gorm.DB { return all().Where(condition) }
	}
	newest := newestFirst("created_at", func(r *customerRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readPage(q, allColumns, span, newest, (*customerRow).customer)
}

// customersLike selects the customers of which the id, the e-mail address or the company begins with a text. Those that
// are few are looked up first, as in Store.beginning.
func (s *Store) customersLike(ctx context.Context, text string) (clause.Expression, error) {
	folded := strings.NewReplacer("@begin", "@folded", "@end", "@folded_end")
	id, email, company := s.begins("customer_id"), folded.Replace(s.begins("email_key")),
		folded.Replace(s.begins("company_key"))
	bounds := []any{
		sql.Named("begin", text), sql.Named("end", text+lastRune),
		sql.Named("folded", strings.ToLower(text)), sql.Named("folded_end", strings.ToLower(text)+lastRune),
	}
	few := "SELECT id FROM customers WHERE " + id + " UNION ALL SELECT id FROM customers WHERE " + email +
		" UNION ALL SELECT id FROM customers WHERE " + company
	var ids []string
	err := s.db.Read(ctx).
		Raw("SELECT id FROM ("+few+") AS found LIMIT @limit", append(bounds, sql.Named("limit", fewFound+1))...).
		Scan(&ids).Error
	if len(ids) <= fewFound {
		return clause.IN{Column: clause.Column{Name: "id"}, Values: anys(ids)}, translate(err)
	}
	return clause.NamedExpr{SQL: "(" + id + " OR " + email + " OR " + company + ")", Vars: bounds}, translate(err)
}

// CustomerLicenses implements customer.Store.
func (s *Store) CustomerLicenses(
	ctx context.Context, customerID string, now time.Time,
) (map[licensing.Status]int, error) {
	statuses, counts, columns := slices.Sorted(maps.Keys(conditions)), map[licensing.Status]int{}, []string{}
	for _, status := range statuses {
		columns = append(columns, "count(CASE WHEN "+conditions[status]+" THEN 1 END)")
	}
	numbers, into := make([]int, len(statuses)), make([]any, len(statuses))
	for i := range numbers {
		into[i] = &numbers[i]
	}
	err := s.db.Read(ctx).Raw("SELECT "+strings.Join(columns, ", ")+" FROM licenses WHERE customer_id = @customer",
		sql.Named("now", now), sql.Named("customer", customerID)).Row().Scan(into...)
	for i, status := range statuses {
		counts[status] = numbers[i]
	}
	return counts, translate(err)
}

// ChangeCustomer implements customer.Store.
func (s *Store) ChangeCustomer(
	ctx context.Context, customerID string, fresh *customer.Customer,
	decide func(*customer.Customer) ([]proto.Message, error),
) (c customer.Customer, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if c, err = s.lockCustomer(tx, customerID, fresh); err != nil {
			return err
		}
		events, err := decide(&c)
		if err != nil || len(events) == 0 {
			return err
		}
		row := newCustomerRow(&c)
		res := tx.Table("customers").Where("id = ?", c.ID).Select("*").Omit("id", "created_at").UpdateColumns(&row)
		if err := wroteOne(res, "customer"); err != nil {
			return err
		}
		return s.publish(ctx, tx, c.ID, events)
	})
	return c, db.Error(err)
}

// lockCustomer locks a customer; one that is not there is first made of a license, or else of fresh.
func (s *Store) lockCustomer(tx *gorm.DB, customerID string, fresh *customer.Customer) (customer.Customer, error) {
	c, err := findCustomer(s.db.Lock(tx), customerID)
	if !errors.Is(err, customer.ErrNotFound) {
		return c, err
	}
	if err := meetByLicense(tx, customerID); err != nil {
		return c, err
	}
	if fresh != nil {
		row := newCustomerRow(fresh)
		if err := tx.Table("customers").Clauses(onConflictDoNothing("customer_id")).Create(&row).Error; err != nil {
			return c, err
		}
	}
	return findCustomer(s.db.Lock(tx), customerID)
}
