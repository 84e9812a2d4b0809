package store

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// CreateMaster implements delegation.Store.
func (s *Store) CreateMaster(
	ctx context.Context, m delegation.Master, sum delegation.Sum, event proto.Message,
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var live int64
		err := tx.Table("delegated_masters").Where("organisation_id = ? AND product = ? AND operating_system = ?",
			m.OrganisationID, m.Product, m.OperatingSystem).Where("revoked_at IS NULL").Count(&live).Error
		if err == nil && live > 0 {
			err = delegation.ErrMasterExists
		}
		if err != nil {
			return err
		}
		row := newMasterRow(&m, sum)
		if err := tx.Table("delegated_masters").Create(&row).Error; err != nil {
			return err
		}
		db.AfterCommit(ctx, s.masters.DropAll)
		return s.publish(ctx, tx, m.ID, []proto.Message{event})
	}))
}

// HasMasters implements delegation.Store.
func (s *Store) HasMasters(ctx context.Context) (bool, error) {
	some, _, err := s.masters.Fetch(ctx, struct{}{}, func(ctx context.Context) (bool, error) {
		var ids []string
		err := s.db.Read(ctx).Table("delegated_masters").Limit(1).Pluck("id", &ids).Error
		return len(ids) > 0, db.Error(err)
	})
	return some, err
}

// FormerLicense implements delegation.Store.
func (s *Store) FormerLicense(
	ctx context.Context, organisationID, product, operatingSystem string,
) (string, error) {
	var ids []string
	err := s.db.Read(ctx).Table("delegated_masters").
		Where("organisation_id = ? AND product = ? AND operating_system = ?", organisationID, product, operatingSystem).
		Order("created_at DESC, id DESC").Limit(1).Pluck("license_id", &ids).Error
	if len(ids) == 0 {
		return "", db.Error(err)
	}
	return ids[0], nil
}

// Master implements delegation.Store.
func (s *Store) Master(ctx context.Context, id string) (delegation.Master, error) {
	var row masterRow
	err := s.db.Read(ctx).Table("delegated_masters").Where("id = ?", id).Take(&row).Error
	return row.master(), missing(err, delegation.ErrMasterNotFound)
}

// Masters implements delegation.Store.
func (s *Store) Masters(
	ctx context.Context, organisationID string, span licensing.Span,
) (licensing.Page[delegation.Master], error) {
	newest := newestFirst("created_at", func(r *masterRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return ofOrganisation(ctx, s, part[masterRow, delegation.Master]{
		"delegated_masters", organisationID, span, newest, (*masterRow).master,
	})
}

// LiveSlaves implements delegation.Store.
func (s *Store) LiveSlaves(ctx context.Context, organisationID string) (int, error) {
	var live int64
	err := s.db.Read(ctx).Table("delegated_slaves").
		Where("organisation_id = ? AND revoked_at IS NULL", organisationID).Count(&live).Error
	return int(live), db.Error(err)
}

// CreateSlave implements delegation.Store.
func (s *Store) CreateSlave(ctx context.Context, v delegation.Slave, sum delegation.Sum) error {
	return db.Error(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		row := newSlaveRow(&v, sum)
		return tx.Table("delegated_slaves").Create(&row).Error
	}))
}

// Slave implements delegation.Store.
func (s *Store) Slave(ctx context.Context, id string) (delegation.Slave, error) {
	var row slaveRow
	err := s.db.Read(ctx).Table("delegated_slaves").Where("id = ?", id).Take(&row).Error
	return row.slave(), missing(err, delegation.ErrSlaveNotFound)
}

// Slaves implements delegation.Store.
func (s *Store) Slaves(
	ctx context.Context, organisationID string, span licensing.Span,
) (licensing.Page[delegation.Slave], error) {
	newest := newestFirst("created_at", func(r *slaveRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return ofOrganisation(ctx, s, part[slaveRow, delegation.Slave]{
		"delegated_slaves", organisationID, span, newest, (*slaveRow).slave,
	})
}

// FindKey implements delegation.Store.
func (s *Store) FindKey(ctx context.Context, sum delegation.Sum) (*delegation.Key, error) {
	var slaves []slaveRow
	err := s.db.Read(ctx).Table("delegated_slaves").Where("key_sha256 = ?", sum[:]).Find(&slaves).Error
	if err != nil {
		return nil, db.Error(err)
	}
	masters := s.db.Read(ctx).Table("delegated_masters")
	if len(slaves) == 1 && delegation.Same(slaves[0].KeySha256, sum) {
		var master masterRow
		if err := masters.Where("id = ?", slaves[0].MasterID).Take(&master).Error; err != nil {
			return nil, db.Error(err)
		}
		return &delegation.Key{Master: master.master(), Slave: new(slaves[0].slave())}, nil
	}
	var found []masterRow
	err = masters.Where("key_sha256 = ?", sum[:]).Find(&found).Error
	if err != nil || len(found) == 0 || !delegation.Same(found[0].KeySha256, sum) {
		return nil, db.Error(err)
	}
	return &delegation.Key{Master: found[0].master()}, nil
}
