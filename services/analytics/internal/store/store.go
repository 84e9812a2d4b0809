// Package store keeps what analytics knows: events received, rollups, detector states and anomalies, on PostgreSQL and SQLite.
package store

import (
	"embed"
	"io/fs"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
)

//go:embed migrations
var migrations embed.FS

// Migrations returns the schema of analytics.
func Migrations() db.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return db.Migrations{Name: "analytics", FS: files}
}

// Store is analytics' database.
type Store struct {
	db     *db.DB
	outbox *outbox.Outbox
	recent recent
	// repeated says that the last batch held events that had been taken before; recent's mutex guards it.
	repeated bool
}

// New returns the store in d; anomalies are announced through o.
func New(d *db.DB, o *outbox.Outbox) *Store { return &Store{db: d, outbox: o} }
