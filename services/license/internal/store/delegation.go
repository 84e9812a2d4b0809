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

// CreateOrganisation implements delegation.Store.
func (s *Store) CreateOrganisation(
	ctx context.Context, o delegation.Organisation, first *delegation.Charge, event proto.Message,
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		row := organisationRow{
			ID: o.ID, Name: o.Name, TotalCredit: o.TotalCredit, UsedCredit: o.UsedCredit, CreatedAt: o.CreatedAt,
		}
		if err := tx.Table("delegated_organisations").Create(&row).Error; err != nil {
			return err
		}
		if err := writeCharge(tx, first); err != nil {
			return err
		}
		return s.publish(ctx, tx, o.ID, []proto.Message{event})
	}))
}

// Organisation implements delegation.Store.
func (s *Store) Organisation(ctx context.Context, id string) (delegation.Organisation, error) {
	var row organisationRow
	err := s.db.Read(ctx).Table("delegated_organisations").Where("id = ?", id).Take(&row).Error
	return row.organisation(), missing(err, delegation.ErrOrganisationNotFound)
}

// Organisations implements delegation.Store.
func (s *Store) Organisations(
	ctx context.Context, span licensing.Span,
) (licensing.Page[delegation.Organisation], error) {
	all := func() *gorm.DB { return s.db.Read(ctx).Table("delegated_organisations") }
	newest := newestFirst("created_at", func(r *organisationRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readPage(all, allColumns, span, newest, (*organisationRow).organisation)
}

// ChangeAccount implements delegation.Store. Anyone who changes anything of the organisation waits for its lock.
func (s *Store) ChangeAccount(
	ctx context.Context, selected delegation.Selection, decide func(*delegation.Account) error,
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var row organisationRow
		err := s.db.Lock(tx).Table("delegated_organisations").Where("id = ?", selected.OrganisationID).Take(&row).Error
		if err != nil {
			return missing(err, delegation.ErrOrganisationNotFound)
		}
		account := &delegation.Account{Organisation: row.organisation()}
		if err := loadAccount(tx, account, selected); err != nil {
			return err
		}
		if err := decide(account); err != nil {
			return err
		}
		if err := writeAccount(tx, &row, account); err != nil {
			return err
		}
		return s.publish(ctx, tx, selected.OrganisationID, account.Events())
	}))
}

// loadAccount reads what a change of a locked organisation is about. What is not there stays nil.
func loadAccount(tx *gorm.DB, a *delegation.Account, selected delegation.Selection) error {
	var masters []masterRow
	if err := tx.Table("delegated_masters").Where("id = ?", selected.MasterID).Find(&masters).Error; err != nil {
		return err
	}
	if len(masters) == 1 {
		a.Key = &delegation.Key{Master: masters[0].master()}
	}
	if selected.SlaveID != "" {
		var slaves []slaveRow
		if err := tx.Table("delegated_slaves").Where("id = ?", selected.SlaveID).Find(&slaves).Error; err != nil {
			return err
		}
		if len(slaves) == 1 && a.Key != nil {
			a.Key.Slave = new(slaves[0].slave())
		}
	}
	if selected.RuntimeKey == "" {
		return nil
	}
	var known []chargeRow
	err := tx.Table("delegated_charges").
		Where("organisation_id = ? AND runtime_key = ?", selected.OrganisationID, selected.RuntimeKey).
		Find(&known).Error
	if len(known) == 1 {
		a.Known = new(known[0].charge())
	}
	return err
}

// writeAccount is guarded by the credits that were read, although the row is locked: a lock lost is noticed, not
// overwritten.
func writeAccount(tx *gorm.DB, before *organisationRow, a *delegation.Account) error {
	if o := &a.Organisation; o.TotalCredit != before.TotalCredit || o.UsedCredit != before.UsedCredit {
		res := tx.Table("delegated_organisations").
			Where("id = ? AND total_credit = ? AND used_credit = ?", o.ID, before.TotalCredit, before.UsedCredit).
			UpdateColumns(map[string]any{"total_credit": o.TotalCredit, "used_credit": o.UsedCredit})
		if err := wroteOne(res, "organisation"); err != nil {
			return err
		}
	}
	if a.Key != nil {
		if err := writeKey(tx, a.Key); err != nil {
			return err
		}
	}
	return writeCharge(tx, a.Made)
}

func writeKey(tx *gorm.DB, k *delegation.Key) error {
	if m := &k.Master; !m.RevokedAt.IsZero() {
		err := tx.Table("delegated_masters").Where("id = ? AND revoked_at IS NULL", m.ID).
			UpdateColumn("revoked_at", m.RevokedAt).Error
		if err != nil {
			return err
		}
	}
	v := k.Slave
	if v == nil {
		return nil
	}
	res := tx.Table("delegated_slaves").Where("id = ?", v.ID).UpdateColumns(map[string]any{
		"runtime_key": textOrNull(v.RuntimeKey), "used_at": nullable(v.UsedAt), "revoked_at": nullable(v.RevokedAt),
	})
	return wroteOne(res, "slave")
}

func writeCharge(tx *gorm.DB, c *delegation.Charge) error {
	if c == nil {
		return nil
	}
	row := newChargeRow(c)
	return tx.Table("delegated_charges").Create(&row).Error
}

// Charges implements delegation.Store.
func (s *Store) Charges(
	ctx context.Context, organisationID string, span licensing.Span,
) (licensing.Page[delegation.Charge], error) {
	newest := newestFirst("at", func(r *chargeRow) (time.Time, string) { return r.At, r.ID })
	return ofOrganisation(ctx, s, part[chargeRow, delegation.Charge]{
		"delegated_charges", organisationID, span, newest, (*chargeRow).charge,
	})
}

// part is a part of what an organisation has in a table.
type part[R, T any] struct {
	table, organisationID string
	span                  licensing.Span
	order                 order[R]
	item                  func(*R) T
}

func ofOrganisation[R, T any](ctx context.Context, s *Store, p part[R, T]) (licensing.Page[T], error) {
	if _, err := s.Organisation(ctx, p.organisationID); err != nil {
		return licensing.Page[T]{}, err
	}
	all := func() *gorm.DB { return s.db.Read(ctx).Table(p.table).Where("organisation_id = ?", p.organisationID) }
	return readPage(all, allColumns, p.span, p.order, p.item)
}
