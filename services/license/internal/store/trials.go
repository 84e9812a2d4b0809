package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/trial"
)

var _ trial.Store = (*Store)(nil)

// trialRow mirrors the table trials.
type trialRow struct {
	ProductID string
	Email     string
	LicenseID *string
	CreatedAt time.Time
}

// FindTrial implements trial.Store.
func (s *Store) FindTrial(ctx context.Context, productID, email string) (licenseID string, err error) {
	return findTrial(s.db.Read(ctx), productID, email)
}

func findTrial(tx *gorm.DB, productID, email string) (licenseID string, err error) {
	var ids []string
	err = tx.Table("trials").Where("product_id = ? AND email = ?", productID, email).Pluck("license_id", &ids).Error
	if err != nil || len(ids) == 0 {
		return "", db.Error(err)
	}
	return ids[0], nil
}

// MakeTrial implements trial.Store. Anyone who comes second waits at the row of the first.
func (s *Store) MakeTrial(
	ctx context.Context, productID, email string, give func(ctx context.Context) (string, error),
) (licenseID string, made bool, err error) {
	one := clause.OnConflict{Columns: []clause.Column{{Name: "product_id"}, {Name: "email"}}, DoNothing: true}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		row := trialRow{ProductID: productID, Email: email, CreatedAt: s.clock.Now()}
		res := tx.Table("trials").Clauses(one).Create(&row)
		if made = res.RowsAffected == 1; res.Error != nil || !made {
			licenseID, err = findTrial(tx, productID, email)
			return errors.Join(res.Error, err)
		}
		if licenseID, err = give(ctx); err != nil {
			return err
		}
		res = tx.Table("trials").Where("product_id = ? AND email = ?", productID, email).
			Update("license_id", licenseID)
		return wroteOne(res, "trial")
	})
	return licenseID, made, db.Error(err)
}

// KeyRotated implements trial.Store. Former keys stay; but one that was given to another license may have gone from
// here, and the event log goes back as far as the settings say.
func (s *Store) KeyRotated(ctx context.Context, licenseID string) (bool, error) {
	var former []string
	err := s.db.Read(ctx).Table("former_keys").Where("license_id = ?", licenseID).Limit(1).Pluck("id", &former).Error
	if err != nil || len(former) > 0 {
		return len(former) > 0, db.Error(err)
	}
	return s.outbox.Has(ctx, licenseID, eventsv1.TypeLicenseKeyRotated)
}

// TrialPolicy implements trial.Store.
func (s *Store) TrialPolicy(ctx context.Context, productID, code string) (*catalog.Policy, error) {
	q := s.db.Read(ctx).Table("policies").Select(policyColumns).Where("product_id = ? AND is_trial", productID)
	if code != "" {
		q = q.Where("code = ?", code)
	}
	var rows []policyRow
	if err := q.Order("code").Limit(1).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, db.Error(err)
	}
	p := rows[0].policy()
	return &p, nil
}
