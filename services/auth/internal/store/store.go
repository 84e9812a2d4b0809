// Package store keeps auth's credentials in its database: API keys and refresh tokens as hashes, signing keys sealed
// under the master key. Every change commits its events with it.
package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store/migrations"
)

// Migrations make the tables of this package.
var Migrations = db.Migrations{Name: "auth", FS: migrations.FS}

// Store implements the stores of package credential. It is safe for concurrent use.
type Store struct {
	db     *db.DB
	outbox *outbox.Outbox
	keys   *masterkey.Register
}

// New makes the store; the current one of keys seals the signing keys.
func New(d *db.DB, o *outbox.Outbox, keys *masterkey.Register) *Store {
	return &Store{db: d, outbox: o, keys: keys}
}

// tx runs fn in a transaction and explains its failure.
func (s *Store) tx(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	return db.Error(s.db.Tx(ctx, fn))
}

// record adds the events of a change to its transaction.
func (s *Store) record(ctx context.Context, tx *gorm.DB, at time.Time, records []credential.Record) error {
	for _, r := range records {
		if _, err := s.outbox.Add(ctx, tx, r.Subject, at, r.Message); err != nil {
			return fmt.Errorf("record event: %w", err)
		}
	}
	return nil
}

// optional is NULL for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
