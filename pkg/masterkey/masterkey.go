// Package masterkey keeps a register of the master keys under which a service's rows were made, so that a process
// without one of them says so instead of answering that things do not exist. A key is registered before the first row
// is written under it; therefore a look-up by keyed hash that finds nothing, followed by a Check that finds every
// registered key in the ring, proves that there is nothing.
package masterkey

import (
	"context"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the table master_keys.
var Migrations = db.Migrations{Name: "masterkey", FS: files}

// Rows are the rows of one kind that master keys protect.
type Rows struct {
	// What names them for people, in the plural: "license keys".
	What string
	// Count tells how many there are by name of the master key.
	Count func(tx *gorm.DB) (map[string]int, error)
	// Reseal moves those under other master keys of the ring to the current one, beside live traffic. It can be stopped
	// and run again. progress hears how many are done; Reseal returns the same number.
	Reseal func(ctx context.Context, progress func(done int)) (int, error)
}

// Register knows which master keys the rows of one service need. It is safe for concurrent use.
type Register struct {
	// Ring is the keys that this process has.
	Ring *keyring.Ring

	db   *db.DB
	rows []Rows
}

// New makes the register of the service whose database is d. It runs no query yet.
func New(d *db.DB, ring *keyring.Ring, rows ...Rows) *Register {
	return &Register{Ring: ring, db: d, rows: rows}
}

// Usage is what one master key protects.
type Usage struct {
	Name string
	// Configured reports whether this process has the key.
	Configured bool
	// Counts are the numbers of rows by Rows.What, without those that are 0.
	Counts map[string]int
}

// String is for example "6514caff (license keys: 12, kept answers: 3)".
func (u Usage) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(u.Counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", what, u.Counts[what]))
	}
	if len(parts) == 0 {
		return u.Name
	}
	return u.Name + " (" + strings.Join(parts, ", ") + ")"
}

// Start registers the current master key; a process calls it before it answers anything. It fails with a *MissingError
// when rows are under keys that are not in the ring. Keys that protect nothing any more are forgotten. A process that
// writes nothing registers nothing.
func (r *Register) Start(ctx context.Context) error {
	// Counting reads all rows: it is done before the lock, and under it only where other keys are registered.
	usages, err := r.Usage(ctx)
	if err == nil {
		err = r.RequireKeys(usages)
	}
	if err != nil || r.db.ReadOnly() {
		return err
	}
	return r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// Who is about to write under another key has either committed, so that its rows count, or waits in Guard.
		if r.db.Engine() == db.Postgres {
			if err := tx.Exec("LOCK TABLE master_keys IN EXCLUSIVE MODE").Error; err != nil {
				return err
			}
		}
		if err := r.forget(tx); err != nil {
			return err
		}
		return r.register(tx)
	})
}

// forget drops the names of keys that protect nothing. Keys that do must be in the ring.
func (r *Register) forget(tx *gorm.DB) error {
	names, err := registered(tx)
	if err != nil || len(without(names, r.Ring.Name())) == 0 {
		return err
	}
	usages, err := r.usages(tx)
	if err == nil {
		err = r.RequireKeys(usages)
	}
	if err != nil {
		return err
	}
	for _, u := range usages {
		if len(u.Counts) == 0 && u.Name != r.Ring.Name() {
			if err := tx.Exec("DELETE FROM master_keys WHERE name = ?", u.Name).Error; err != nil {
				return err
			}
		}
	}
	return nil
}

// Usage returns what each registered master key protects, in the order of their names. It counts all rows.
func (r *Register) Usage(ctx context.Context) ([]Usage, error) {
	usages, err := r.usages(r.db.Read(ctx))
	return usages, db.Error(err)
}

func (r *Register) usages(tx *gorm.DB) ([]Usage, error) {
	names, err := registered(tx)
	if err != nil {
		return nil, err
	}
	counts := map[string]map[string]int{}
	for _, name := range names {
		counts[name] = map[string]int{}
	}
	for _, rows := range r.rows {
		byKey, err := rows.Count(tx)
		if err != nil {
			return nil, fmt.Errorf("count %s by master key: %w", rows.What, err)
		}
		for name, n := range byKey {
			if counts[name] == nil {
				counts[name] = map[string]int{}
			}
			counts[name][rows.What] = n
		}
	}
	var usages []Usage
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		usages = append(usages, Usage{Name: name, Configured: r.Ring.Has(name), Counts: counts[name]})
	}
	return usages, nil
}

// Guard is Check within the transaction of one who is about to write under the current key something that must be
// unique beyond master keys, and registers that key. Until the transaction ends no process starts with a key that this
// one does not have; and while the ring has several keys, such transactions wait for one another, since a unique index
// sees the hashes of one key only.
func (r *Register) Guard(tx *gorm.DB) error {
	lock := "KEY SHARE"
	if len(r.Ring.Names()) > 1 {
		lock = clause.LockingStrengthUpdate
	}
	query := tx
	if r.db.Engine() == db.Postgres { // SQLite has one writer at a time
		query = tx.Clauses(clause.Locking{Strength: lock})
	}
	names, err := r.check(query.Order("name"))
	if err != nil || slices.Contains(names, r.Ring.Name()) {
		return err
	}
	return r.register(tx)
}

func registered(query *gorm.DB) (names []string, err error) {
	err = query.Table("master_keys").Pluck("name", &names).Error
	return names, err
}

func without(names []string, others ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}

func (r *Register) register(tx *gorm.DB) error {
	return tx.Exec("INSERT INTO master_keys (name, registered_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
		r.Ring.Name(), time.Now().UTC()).Error
}
