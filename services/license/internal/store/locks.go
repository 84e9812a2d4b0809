package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Lock implements licensing.Store.
func (s *Store) Lock(ctx context.Context, licenseIDs []string) error {
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return s.lockLicenses(tx, licenseIDs) }))
}

func (s *Store) lockLicenses(tx *gorm.DB, ids []string) error {
	return s.lockRows(tx, "licenses", "id", db.In("id", uuids(ids)))
}

// lockRows locks the rows of a table that meet a condition, in the order of a column that is unique.
func (s *Store) lockRows(tx *gorm.DB, table, column string, condition any, params ...any) error {
	var locked []string
	return s.db.Lock(tx).Table(table).Where(condition, params...).Order(column).Pluck(column, &locked).Error
}

// uuids are the ids that can be of a row.
func uuids(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !uid.Is(id) })
}

// HoldKeys implements licenseimport.Store.
func (s *Store) HoldKeys(ctx context.Context, keys []string) error {
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := s.keys.Guard(tx); err != nil {
			return err
		}
		return s.holdKeys(tx, keys)
	}))
}

// holdKeys has those that bring the same keys come one after the other, by advisory locks: of a license that is not
// there yet there is nothing else to lock, and a transaction that finds one later than it locked others would lock it
// out of order. SQLite has one writer at a time.
func (s *Store) holdKeys(tx *gorm.DB, keys []string) error {
	if len(keys) == 0 || s.db.Engine() == db.SQLite {
		return nil
	}
	locks := make([]int64, len(keys))
	for i, key := range keys {
		mac := s.keys.Ring.MAC(keyPurpose, []byte(licensing.NormalizeKey(key)))
		locks[i] = int64(binary.BigEndian.Uint64(mac.Sum[:8]))
	}
	slices.Sort(locks)
	list, err := json.Marshal(locks) // as a PostgreSQL array, but for its brackets
	if err != nil {
		return err
	}
	return tx.Exec("SELECT count(pg_advisory_xact_lock(k)) FROM unnest(?::bigint[]) AS k",
		"{"+strings.Trim(string(list), "[]")+"}").Error
}

// Hold implements licenseimport.Store. SQLite has one writer at a time.
func (s *Store) Hold(ctx context.Context, n licenseimport.Names) error {
	if s.db.Engine() == db.SQLite {
		return nil
	}
	return translate(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := s.lockLicenses(tx, n.LicenseIDs); err != nil {
			return err
		}
		theirs := func(column string) *gorm.DB {
			return tx.Table("licenses").Select(column).Where(db.In("id", uuids(n.LicenseIDs)))
		}
		customers := clause.Or(db.In("customer_id", n.CustomerIDs), clause.Expr{
			SQL: "customer_id IN (?)", Vars: []any{theirs("customer_id")},
		})
		if err := s.lockRows(tx.Where(db.In("email_folded", n.Emails)), "users", "id", customers); err != nil {
			return err
		}
		groups := clause.Or(db.In("id", uuids(n.GroupIDs)), clause.Expr{
			SQL: "id IN (?)", Vars: []any{theirs("group_id")},
		})
		if err := s.lockRows(tx, "license_groups", "id", groups); err != nil {
			return err
		}
		if err := s.holdNewProducts(tx, n.Products); err != nil {
			return err
		}
		if err := s.holdNewCustomers(tx, n.CustomerIDs); err != nil {
			return err
		}
		return s.lockRows(tx, "customers", "customer_id", customers)
	}))
}

// holdNewProducts holds the products that are there, and the codes and names of those that are not: a row that is
// inserted and deleted keeps others from inserting it until the transaction ends.
func (s *Store) holdNewProducts(tx *gorm.DB, texts []string) error {
	known, err := holdProducts(tx, texts)
	if err != nil {
		return err
	}
	var rows []productRow
	var ids []string
	for _, p := range unknownProducts(texts, known, s.clock.Now()) {
		rows, ids = append(rows, newProductRow(&p)), append(ids, p.ID)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Table("products").Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
		return err
	}
	return tx.Table("products").Where(db.In("id", ids)).Delete(nil).Error
}

// holdNewCustomers is holdNewProducts for the ids of customers.
func (s *Store) holdNewCustomers(tx *gorm.DB, ids []string) error {
	made, err := addCustomers(tx, ids, s.clock.Now())
	if err != nil {
		return err
	}
	return forgetCustomers(tx, slices.Collect(maps.Values(made)))
}
