// Package store keeps what analytics knows: events received, rollups, detector states and anomalies, on PostgreSQL
// and SQLite.
package store

import (
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store/migrations"
)

// Migrations is the schema of this package; the outbox and similar packages bring their own.
var Migrations = db.Migrations{Name: "analytics", FS: migrations.FS}

// Store is analytics' database.
type Store struct {
	db     *db.DB
	outbox *outbox.Outbox
}

// New returns the store in d; anomalies are announced through o.
func New(d *db.DB, o *outbox.Outbox) *Store { return &Store{db: d, outbox: o} }
