package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

// checksumRow is the SHA-256 of a migration as it was when it was applied. Migrations are only added: one that was
// changed since has made another schema than the program relies on.
type checksumRow struct {
	Source  string
	Version int64
	SHA256  string `gorm:"column:sha256"`
	// Needs is the newest migration that a program must know to run on the schema that this one leaves, 0 for one that
	// only adds what older programs do not notice.
	Needs int64
}

// needs is the line of a migration that older programs cannot live with, as they look for what it takes away.
var needs = regexp.MustCompile(`(?m)^-- latchkey:needs (\d{1,9})$`)

const checksumTable = "migration_checksums"

// TableName implements gorm's Tabler.
func (checksumRow) TableName() string { return checksumTable }

// checksums are those of the migrations that the program brings, in the order of their versions.
func checksums(source string, files fs.FS, migrations []*goose.Source) ([]checksumRow, error) {
	rows := make([]checksumRow, len(migrations))
	for i, m := range migrations {
		text, err := fs.ReadFile(files, m.Path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		rows[i] = checksumRow{Source: source, Version: m.Version, SHA256: hex.EncodeToString(sum[:])}
		if line := needs.FindSubmatch(text); line != nil {
			rows[i].Needs, _ = strconv.ParseInt(string(line[1]), 10, 64) // at most nine digits
		}
	}
	return rows, nil
}

// checkApplied fails when a migration up to version current is not, or not known to be, the one that the database
// applied, or when a newer program has made a schema that this one cannot use.
func (d *DB) checkApplied(ctx context.Context, current int64, known []checksumRow) error {
	if current == 0 {
		return nil
	}
	applied, err := d.applied(ctx, known[0].Source)
	if err != nil {
		return err
	}
	sums := map[int64]string{}
	var needed int64
	for _, row := range applied {
		sums[row.Version] = row.SHA256
		if row.Version <= current {
			needed = max(needed, row.Needs)
		}
	}
	if newest := known[len(known)-1].Version; needed > newest {
		return fmt.Errorf("the database is at version %d of %s, for programs that know version %d, and this one knows "+
			"only %d; run the newer program, or restore a backup from before it",
			current, known[0].Source, needed, newest)
	}
	for _, row := range known {
		if row.Version <= current && sums[row.Version] != row.SHA256 {
			return fmt.Errorf("migration %d of %s differs from the one that made this database, so its schema is "+
				"another one than this program needs; run the program that made it, or start on an empty database",
				row.Version, row.Source)
		}
	}
	return nil
}

// applied is empty for a database that was made before checksums were kept.
func (d *DB) applied(ctx context.Context, source string) (rows []checksumRow, err error) {
	exists, err := d.hasTable(d.Read(ctx), checksumTable)
	if err != nil || !exists {
		return nil, err
	}
	// Columns are named because PostgreSQL refuses a prepared "SELECT *" once a column was added.
	columns := []string{"version", "sha256"}
	hasNeeds, err := d.hasColumn(d.Read(ctx), checksumTable, "needs")
	if err != nil {
		return nil, err
	}
	if hasNeeds {
		columns = append(columns, "needs")
	}
	err = d.Read(ctx).Select(columns).Where("source = ?", source).Find(&rows).Error
	return rows, err
}

// noteChecksums keeps the checksums of the migrations after version current, before they are applied: those of applied
// ones are then known however the program ends.
func (d *DB) noteChecksums(ctx context.Context, current int64, known []checksumRow) error {
	if len(known) == 0 || known[len(known)-1].Version <= current {
		return nil
	}
	return d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := d.prepareChecksums(tx); err != nil {
			return err
		}
		if err := tx.Where("source = ? AND version > ?", known[0].Source, current).
			Delete(&checksumRow{}).Error; err != nil {
			return err
		}
		for _, row := range known {
			if row.Version <= current {
				continue
			}
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *DB) prepareChecksums(tx *gorm.DB) error {
	const create = "CREATE TABLE IF NOT EXISTS " + checksumTable +
		" (source text, version bigint, sha256 text NOT NULL, PRIMARY KEY (source, version))"
	if err := tx.Exec(create).Error; err != nil {
		return fmt.Errorf("create the table of checksums: %w", err)
	}
	hasNeeds, err := d.hasColumn(tx, checksumTable, "needs")
	if err != nil || hasNeeds {
		return err
	}
	const add = "ALTER TABLE " + checksumTable + " ADD COLUMN needs bigint NOT NULL DEFAULT 0"
	if err := tx.Exec(add).Error; err != nil {
		return fmt.Errorf("add a column to the table of checksums: %w", err)
	}
	return nil
}
