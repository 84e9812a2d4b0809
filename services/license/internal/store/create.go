package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Create implements licensing.Store.
func (s *Store) Create(ctx context.Context, rows []licensing.NewRow) ([]error, error) {
	var errs []error
	var products map[string]productRow
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) (err error) {
		groups, refusals, err := s.admit(tx, rows)
		if err != nil {
			return err
		}
		errs = refusals
		products, err = s.createAdmitted(ctx, tx, rows, groups, errs)
		return err
	})
	for i := range rows {
		if p, ok := products[rows[i].License.Product]; ok {
			rows[i].License.Product = p.Code
		}
	}
	return errs, translate(err)
}

// admit takes new licenses into their groups, in their order, and refuses those that a group does not take and those
// whose key is taken.
func (s *Store) admit(tx *gorm.DB, rows []licensing.NewRow) (groups heldGroups, refusals []error, err error) {
	if err := s.keys.Guard(tx); err != nil {
		return nil, nil, err
	}
	var brought []string
	for i := range rows {
		if key := broughtKey(&rows[i]); key != "" {
			brought = append(brought, key)
		}
	}
	if err := s.holdKeys(tx, brought); err != nil {
		return nil, nil, err
	}
	if groups, err = s.lockGroups(tx, rows); err != nil {
		return nil, nil, err
	}
	known, err := s.knownKeys(tx, brought)
	if err != nil {
		return nil, nil, err
	}
	refusals, keys := make([]error, len(rows)), map[string]bool{}
	for i := range rows {
		key := broughtKey(&rows[i])
		place := known[key].Place
		if place != 0 && place != endedPlace || key != "" && keys[key] {
			refusals[i] = licensing.ErrKeyExists
			continue
		}
		refusals[i] = groups.admit(&rows[i].License)
		keys[key] = refusals[i] == nil
	}
	return groups, refusals, nil
}

// broughtKey is the key of a license that came with it, empty for one that was made for it.
func broughtKey(n *licensing.NewRow) string {
	if !n.Imported {
		return ""
	}
	return licensing.NormalizeKey(n.Key)
}

// createAdmitted inserts the licenses that are not refused, and returns their products by what names them. Somebody
// else may bring the same key at once: of those who do, one is refused here.
func (s *Store) createAdmitted(
	ctx context.Context, tx *gorm.DB, rows []licensing.NewRow, groups heldGroups, refusals []error,
) (map[string]productRow, error) {
	var order []int
	var texts, customers []string
	for i := range rows {
		if refusals[i] == nil {
			order = append(order, i)
			texts, customers = append(texts, rows[i].License.Product), append(customers, rows[i].License.CustomerID)
		}
	}
	products, err := s.namedProducts(ctx, tx, texts)
	if err != nil {
		return nil, err
	}
	unneeded, err := addCustomers(tx, customers, s.clock.Now())
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return strings.Compare(broughtKey(&rows[a]), broughtKey(&rows[b]))
	})
	for _, i := range order {
		l := &rows[i].License
		taken, err := s.create(ctx, tx, rows[i], products[l.Product])
		if err != nil {
			return nil, err
		}
		if taken {
			refusals[i] = licensing.ErrKeyExists
			continue
		}
		delete(unneeded, l.CustomerID)
	}
	return products, forgetCustomers(tx, slices.Collect(maps.Values(unneeded)))
}

func (s *Store) create(
	ctx context.Context, tx *gorm.DB, n licensing.NewRow, product productRow,
) (keyTaken bool, err error) {
	n.License.Product = product.Code
	row := newLicenseRow(&n.License)
	row.ProductID = product.ID
	sealed, err := sealKey(s.keys.Ring, row.ID, n.Key)
	if err != nil {
		return false, err
	}
	row.KeyHash, row.KeySealed, row.MasterKey = sealed.KeyHash, sealed.KeySealed, sealed.MasterKey
	// Two callers may bring the same key at once: the unique index decides, without failing the transaction.
	res := tx.Table("licenses").Clauses(onConflictDoNothing("key_hash")).
		Omit("numeric_id", "Product", "ProductIsActive", "ProductMinVersion", "ProductMethod").Create(&row)
	if res.Error != nil || res.RowsAffected == 0 {
		return res.Error == nil, res.Error
	}
	if keyTaken, err = s.wasTaken(tx, &n); err != nil || keyTaken {
		return keyTaken, errors.Join(err, tx.Exec("DELETE FROM licenses WHERE id = ?", row.ID).Error)
	}
	if err := createDevices(tx, n.Devices); err != nil {
		return false, err
	}
	if n.Events == nil {
		return false, nil
	}
	return false, s.publish(ctx, tx, n.License.ID, n.Events(&n.License))
}
