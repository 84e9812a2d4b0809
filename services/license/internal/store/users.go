package store

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// userRow mirrors the table users. Product is read from products, never written.
type userRow struct {
	ID                 string
	ProductID          string
	Product            string `gorm:"<-:false"`
	CustomerID         string
	Email              string
	EmailFolded        string
	Name               string
	MaxDevices         *int
	PasswordHash       string
	MustChangePassword bool
	Credentials        int
	IsLocked           bool
	KnownAddresses     string
	SignedInAt         *time.Time
	Version            int
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// userColumns reads a user together with the code of the product.
var userColumns = db.Columns("users", userRow{}, "product") +
	", (SELECT code FROM products WHERE products.id = users.product_id) AS product"

func newUserRow(u *user.User) userRow {
	known, _ := json.Marshal(append([]string{}, u.KnownAddresses...)) // texts always marshal
	return userRow{
		ID:                 u.ID,
		CustomerID:         u.CustomerID,
		Email:              u.Email,
		EmailFolded:        user.Fold(u.Email),
		Name:               u.Name,
		MaxDevices:         limitOrNull(u.MaxDevices),
		PasswordHash:       u.PasswordHash,
		MustChangePassword: u.MustChangePassword,
		Credentials:        u.Credentials,
		IsLocked:           u.IsLocked,
		KnownAddresses:     string(known),
		SignedInAt:         nullable(u.SignedInAt),
		Version:            u.Version,
		CreatedAt:          u.CreatedAt,
		UpdatedAt:          u.UpdatedAt,
	}
}

func (r *userRow) user() user.User {
	u := user.User{
		User: licensing.User{
			ID:          r.ID,
			Email:       r.Email,
			CustomerID:  r.CustomerID,
			MaxDevices:  limitOrUnlimited(r.MaxDevices),
			IsLocked:    r.IsLocked,
			Credentials: r.Credentials,
		},
		Product:            r.Product,
		Name:               r.Name,
		PasswordHash:       r.PasswordHash,
		MustChangePassword: r.MustChangePassword,
		SignedInAt:         value(r.SignedInAt),
		Version:            r.Version,
		CreatedAt:          r.CreatedAt.UTC(),
		UpdatedAt:          r.UpdatedAt.UTC(),
	}
	_ = json.Unmarshal([]byte(r.KnownAddresses), &u.KnownAddresses) // written by newUserRow
	return u
}

// CreateUser implements user.Store.
func (s *Store) CreateUser(ctx context.Context, u user.User, events []proto.Message) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		product, err := findProduct(tx.Clauses(clause.Locking{Strength: "KEY SHARE"}), u.Product)
		switch {
		case errors.Is(err, catalog.ErrProductNotFound):
			return unknownProduct(tx, "product", u.Product)
		case err != nil:
			return err
		case product.AuthorizationMethod != catalog.ByUser:
			return user.ErrByKey
		}
		if _, err := addCustomers(tx, []string{u.CustomerID}, u.CreatedAt); err != nil {
			return err
		}
		row := newUserRow(&u)
		row.ProductID = product.ID
		if err := tx.Table("users").Create(&row).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, u.ID, events)
	})
	return duplicate(err, user.ErrExists)
}

// FindUser implements user.Store.
func (s *Store) FindUser(ctx context.Context, id string) (user.User, error) {
	return findUser(s.db.Read(ctx), s.db.Read(ctx), id)
}

// findUser reads a user by row, which may lock, and then the licenses.
func findUser(row, licenses *gorm.DB, id string) (user.User, error) {
	if !uid.Is(id) {
		return user.User{}, user.ErrNotFound
	}
	var found userRow
	err := row.Table("users").Select(userColumns).Where("id = ?", id).Take(&found).Error
	if err != nil {
		return user.User{}, missing(err, user.ErrNotFound)
	}
	u := found.user()
	all := []user.User{u}
	err = readAssigned(licenses, all)
	return all[0], err
}

// Users implements user.Store.
func (s *Store) Users(ctx context.Context, f user.Filter, span licensing.Span) (licensing.Page[user.User], error) {
	matching := func() *gorm.DB {
		q := s.db.Read(ctx).Table("users")
		where := func(set bool, condition string, value any) {
			if set {
				q = q.Where(condition, value)
			}
		}
		where(f.Product != nil, "product_id = (SELECT id FROM products WHERE code = ?)", f.Product)
		where(f.CustomerID != nil, "customer_id = ?", f.CustomerID)
		if f.Email != nil {
			q = q.Where("email_folded = ?", user.Fold(*f.Email))
		}
		if f.CustomerEmail != nil {
			q = q.Where("customer_id IN (SELECT customer_id FROM customers WHERE email_key = ?)",
				strings.ToLower(*f.CustomerEmail))
		}
		where(f.LicenseID != nil, "id IN (SELECT user_id FROM license_users WHERE license_id = ?)", f.LicenseID)
		return q
	}
	newest := newestFirst("created_at", func(r *userRow) (time.Time, string) { return r.CreatedAt, r.ID })
	page, err := readPage(matching, userColumns, span, newest, (*userRow).user)
	if err != nil || len(page.Items) == 0 {
		return page, err
	}
	return page, readAssigned(s.db.Read(ctx), page.Items)
}

// ChangeUser implements user.Store.
func (s *Store) ChangeUser(
	ctx context.Context, id string, decide func(*user.User) ([]proto.Message, error),
) (u user.User, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if u, err = findUser(s.db.Lock(tx), tx, id); err != nil {
			return err
		}
		before := newUserRow(&u)
		events, err := decide(&u)
		row := newUserRow(&u)
		if err != nil || reflect.DeepEqual(before, row) {
			return err
		}
		res := tx.Table("users").Where("id = ?", id).Select("*").
			Omit("id", "product_id", "Product", "customer_id", "created_at").UpdateColumns(&row)
		if err := wroteOne(res, "user"); err != nil {
			return err
		}
		return s.publish(ctx, tx, id, events)
	})
	return u, duplicate(err, user.ErrExists)
}

// DeleteUser implements user.Store.
func (s *Store) DeleteUser(
	ctx context.Context, id string, decide func(*user.User) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		u, err := findUser(s.db.Lock(tx), tx, id)
		if err != nil {
			return err
		}
		events, err := decide(&u)
		if err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM users WHERE id = ?", id).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, id, events)
	}))
}

// Named implements user.Store.
func (s *Store) Named(ctx context.Context, product, foldedEmail, customerID string) ([]user.User, error) {
	q := s.db.Read(ctx).Table("users").Select(userColumns).
		Where("product_id = (SELECT id FROM products WHERE code = ?) AND email_folded = ?", product, foldedEmail)
	if customerID != "" {
		q = q.Where("customer_id = ?", customerID)
	}
	var rows []userRow
	if err := q.Limit(user.MaxNamed).Find(&rows).Error; err != nil {
		return nil, db.Error(err)
	}
	users := make([]user.User, len(rows))
	for i := range rows {
		users[i] = rows[i].user()
	}
	return users, nil
}

// UserOf implements licensing.Reads.
func (s *Store) UserOf(ctx context.Context, l *licensing.License, email string) (*licensing.User, error) {
	var rows []userRow
	err := s.db.Read(ctx).Table("users").Select(userColumns).
		Where("product_id = (SELECT id FROM products WHERE code = ?) AND email_folded = ?",
			l.Product, user.Fold(email)).
		Order(clause.OrderBy{Expression: clause.Expr{
			SQL:  "(SELECT count(*) FROM license_users WHERE user_id = users.id AND license_id = ?) DESC, id",
			Vars: []any{l.ID},
		}}).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, db.Error(err)
	}
	found := []user.User{rows[0].user()}
	return &found[0].User, readAssigned(s.db.Read(ctx), found)
}

// User implements licensing.LockedReads.
func (r *lockedReads) User(id string) (*licensing.User, error) {
	u, err := findUser(r.tx.Session(&gorm.Session{}), r.plain(), id)
	if errors.Is(err, user.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var n int64
	err = r.plain().Table("devices").Where("user_id = ? AND is_active", id).Count(&n).Error
	u.Devices = int(n)
	return &u.User, err
}

// DevicesOf implements licensing.LockedReads.
func (r *lockedReads) DevicesOf(userID string) ([]*licensing.Device, error) {
	var rows []deviceRow
	err := r.devices().Where("user_id = ? AND is_active", userID).Order("id").Find(&rows).Error
	return r.note(rows), err
}
