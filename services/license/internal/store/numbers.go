package store

import (
	"context"
	"database/sql"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// readNumbers takes nulls for what is not asked for.
const readNumbers = `SELECT
	coalesce((SELECT numeric_id FROM licenses WHERE id = @license), 0) AS license,
	coalesce((SELECT numeric_id FROM devices WHERE id = @device), 0) AS device,
	coalesce((SELECT numeric_id FROM users WHERE id = @user), 0) AS "user",
	coalesce((SELECT numeric_id FROM releases WHERE id = @release), 0) AS release,
	coalesce((SELECT numeric_id FROM products WHERE code = @product), 0) AS product,
	coalesce((SELECT numeric_id FROM policies WHERE code = @policy), 0) AS policy`

// Numbers implements integration.NumberStore.
func (s *Store) Numbers(ctx context.Context, q integration.NumberQuery) (integration.Numbers, error) {
	var n struct{ License, Device, User, Release, Product, Policy int64 }
	err := s.db.Read(ctx).Raw(readNumbers, sql.Named("license", idOrNull(q.License)),
		sql.Named("device", idOrNull(q.Device)), sql.Named("user", idOrNull(q.User)),
		sql.Named("release", idOrNull(q.Release)),
		sql.Named("product", q.Product), sql.Named("policy", q.Policy)).Scan(&n).Error
	if err != nil {
		return integration.Numbers{}, translate(err)
	}
	features, err := s.featureNumbers(ctx, q.Features)
	return integration.Numbers{
		License:  n.License,
		Device:   n.Device,
		User:     n.User,
		Release:  n.Release,
		Product:  n.Product,
		Policy:   n.Policy,
		Features: features,
	}, err
}

// idOrNull is an id as statements take it.
func idOrNull(id string) *string {
	if !uid.Is(id) {
		return nil
	}
	return &id
}

// featureNumberRow mirrors the table feature_numbers.
type featureNumberRow struct {
	Code      string
	NumericID int64
}

// featureNumbers gives numbers to the codes that have none, unless nothing may be written. Administrators made the
// codes, so their number is bounded.
func (s *Store) featureNumbers(ctx context.Context, codes []string) (map[string]int64, error) {
	numbers := map[string]int64{}
	if len(codes) == 0 {
		return numbers, nil
	}
	if err := readFeatureNumbers(s.db.Read(ctx), codes, numbers); err != nil {
		return nil, translate(err)
	}
	var fresh []featureNumberRow
	for _, code := range slices.Sorted(slices.Values(codes)) { // in one order, so that nobody waits in a circle
		if numbers[code] == 0 {
			fresh = append(fresh, featureNumberRow{Code: code})
		}
	}
	if len(fresh) == 0 || s.db.ReadOnly() {
		return numbers, nil
	}
	err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		err := tx.Table("feature_numbers").Omit("numeric_id").Clauses(clause.OnConflict{DoNothing: true}).
			Create(&fresh).Error
		if err != nil {
			return err
		}
		return readFeatureNumbers(tx, codes, numbers)
	})
	return numbers, translate(err)
}

func readFeatureNumbers(tx *gorm.DB, codes []string, numbers map[string]int64) error {
	var rows []featureNumberRow
	err := tx.Table("feature_numbers").Where("code IN ?", codes).Find(&rows).Error
	for _, row := range rows {
		numbers[row.Code] = row.NumericID
	}
	return err
}
