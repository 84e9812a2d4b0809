// Package store keeps admin's data in PostgreSQL or SQLite: the admin keys and the audit log. It is the only package of
// the service that knows gorm.
package store

import (
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store/migrations"
)

// Migrations is the schema of the service's own tables.
var Migrations = db.Migrations{Name: "admin", FS: migrations.FS}

// Store implements adminkey.Store and audit.Log.
type Store struct {
	db     *db.DB
	outbox *outbox.Outbox
}

// New returns a store that announces changes through o.
func New(d *db.DB, o *outbox.Outbox) *Store { return &Store{db: d, outbox: o} }
