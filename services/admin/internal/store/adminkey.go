package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// keyRow is one admin key. Revoked rows stay, so that a revoked secret is never taken for a new one.
type keyRow struct {
	ID         string
	Hash       []byte
	Name       string
	Role       string
	Configured bool
	CreatedAt  time.Time
	RevokedAt  *time.Time
}

// TableName implements gorm's Tabler.
func (keyRow) TableName() string { return "admin_keys" }

const (
	live           = "revoked_at IS NULL"
	liveByID       = "id = ? AND revoked_at IS NULL"
	liveConfigured = "configured AND revoked_at IS NULL"
	liveOwner      = "role = ? AND revoked_at IS NULL"
)

// ByHash implements adminkey.Store.
func (s *Store) ByHash(ctx context.Context, hash [32]byte) (adminkey.Key, error) {
	var row keyRow
	err := s.db.Read(ctx).Where("hash = ?", hash[:]).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return adminkey.Key{}, adminkey.ErrInvalidKey
	}
	if err != nil {
		return adminkey.Key{}, db.Error(fmt.Errorf("find admin key: %w", err))
	}
	if row.RevokedAt != nil {
		return adminkey.Key{}, adminkey.ErrInvalidKey.WithCause(secret.ErrEnded)
	}
	return row.key(), nil
}

// Keys implements adminkey.Store.
func (s *Store) Keys(ctx context.Context) ([]adminkey.Key, error) {
	var rows []keyRow
	if err := s.db.Read(ctx).Where(live).Order("created_at, id").Find(&rows).Error; err != nil {
		return nil, db.Error(fmt.Errorf("list admin keys: %w", err))
	}
	keys := make([]adminkey.Key, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, nil
}

// AddKey implements adminkey.Store.
func (s *Store) AddKey(ctx context.Context, k adminkey.Key, hash [32]byte, r audit.Record) error {
	return s.changeKeys(ctx, func(ctx context.Context, tx *gorm.DB) error {
		return s.insert(ctx, tx, newKeyRow(k, hash), r)
	})
}

// RevokeKey implements adminkey.Store.
func (s *Store) RevokeKey(ctx context.Context, id string, r audit.Record) (adminkey.Key, error) {
	var row keyRow
	err := s.changeKeys(ctx, func(ctx context.Context, tx *gorm.DB) error {
		row = keyRow{}
		if err := tx.Where(liveByID, id).Take(&row).Error; errors.Is(err, db.ErrNotFound) {
			return adminkey.ErrNotFound
		} else if err != nil {
			return fmt.Errorf("find admin key: %w", err)
		}
		if err := keepAnOwner(tx, row); err != nil {
			return err
		}
		return s.revoke(ctx, tx, row, r)
	})
	return row.key(), err
}

// ConfigureOwner implements adminkey.Store.
func (s *Store) ConfigureOwner(ctx context.Context, k adminkey.Key, hash [32]byte, r audit.Record) (bool, error) {
	inForce := true
	err := s.changeKeys(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var known []keyRow
		if err := tx.Where("hash = ?", hash[:]).Find(&known).Error; err != nil {
			return fmt.Errorf("find the configured key: %w", err)
		}
		if len(known) > 0 {
			inForce = known[0].RevokedAt == nil
			if !inForce || known[0].Configured {
				return nil
			}
			return s.adopt(ctx, tx, known[0], r)
		}
		if err := s.revokeConfigured(ctx, tx, r); err != nil {
			return err
		}
		row := newKeyRow(k, hash)
		row.Configured = true
		return s.insert(ctx, tx, row, r)
	})
	return inForce, err
}

// adopt makes a live key that was made by the API the configured one.
func (s *Store) adopt(ctx context.Context, tx *gorm.DB, row keyRow, r audit.Record) error {
	if row.Role != string(adminkey.Owner) {
		return fmt.Errorf("%w: %s", adminkey.ErrNotOwner, row.Role)
	}
	if err := s.revokeConfigured(ctx, tx, r); err != nil {
		return err
	}
	res := tx.Model(&keyRow{}).Where(liveByID, row.ID).Update("configured", true)
	if res.Error != nil {
		return fmt.Errorf("configure admin key: %w", res.Error)
	}
	r.After = row.key().AuditView()
	return s.announce(ctx, tx, row.ID, r)
}

// changeKeys runs one change of the keys at a time, on all replicas together: counting owners and revoking one of them,
// or comparing the configured key and replacing it, must not interleave. On SQLite writers exclude each other anyway.
func (s *Store) changeKeys(ctx context.Context, change func(ctx context.Context, tx *gorm.DB) error) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var id int
		if err := s.db.Lock(tx.Table("admin_keys_lock")).Select("id").Take(&id).Error; err != nil {
			return fmt.Errorf("lock the admin keys: %w", err)
		}
		return change(ctx, tx)
	})
}

func (s *Store) insert(ctx context.Context, tx *gorm.DB, row keyRow, r audit.Record) error {
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("insert admin key: %w", err)
	}
	return s.announce(ctx, tx, row.ID, r)
}

func (s *Store) revoke(ctx context.Context, tx *gorm.DB, row keyRow, r audit.Record) error {
	res := tx.Model(&keyRow{}).Where(liveByID, row.ID).Update("revoked_at", r.At)
	if res.Error != nil {
		return fmt.Errorf("revoke admin key: %w", res.Error)
	}
	if res.RowsAffected != 1 {
		return adminkey.ErrNotFound
	}
	r.Before = row.key().AuditView()
	return s.announce(ctx, tx, row.ID, r)
}

// revokeConfigured revokes the key that the configuration held until now, if there is one.
func (s *Store) revokeConfigured(ctx context.Context, tx *gorm.DB, r audit.Record) error {
	var rows []keyRow
	if err := tx.Where(liveConfigured).Find(&rows).Error; err != nil {
		return fmt.Errorf("find the key configured before: %w", err)
	}
	for _, row := range rows {
		gone := audit.Record{Actor: r.Actor, Action: "admin_key.delete", At: r.At}
		if err := s.revoke(ctx, tx, row, gone); err != nil {
			return err
		}
	}
	return nil
}

// keepAnOwner refuses to revoke the only live owner.
func keepAnOwner(tx *gorm.DB, row keyRow) error {
	if row.Role != string(adminkey.Owner) {
		return nil
	}
	var owners int64
	if err := tx.Model(&keyRow{}).Where(liveOwner, row.Role).Count(&owners).Error; err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if owners < 2 {
		return adminkey.ErrLastOwner
	}
	return nil
}

// announce puts the audit record into the outbox, in the transaction of the change.
func (s *Store) announce(ctx context.Context, tx *gorm.DB, subject string, r audit.Record) error {
	if _, err := s.outbox.Add(ctx, tx, subject, r.At, r.Message()); err != nil {
		return fmt.Errorf("announce %s: %w", r.Action, err)
	}
	return nil
}

func newKeyRow(k adminkey.Key, hash [32]byte) keyRow {
	return keyRow{ID: k.ID, Hash: hash[:], Name: k.Name, Role: string(k.Role), CreatedAt: k.CreatedAt}
}

func (r keyRow) key() adminkey.Key {
	return adminkey.Key{ID: r.ID, Name: r.Name, Role: adminkey.Role(r.Role), CreatedAt: r.CreatedAt.UTC()}
}
