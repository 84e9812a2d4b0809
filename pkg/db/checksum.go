package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

// checksumRow is the SHA-256 of a migration as it was when it was applied. Migrations are only added: one that was
// changed since has made another schema than the program relies on.
type checksumRow struct {
	Source  string
	Version int64
	SHA256  string `gorm:"column:sha256"`
}

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
	}
	return rows, nil
}

// checkApplied fails when a migration up to version current is not, or not known to be, the one that the database
// applied.
func (d *DB) checkApplied(ctx context.Context, current int64, known []checksumRow) error {
	if current == 0 {
		return nil
	}
	exists, err := d.hasTable(d.Read(ctx), checksumTable)
	if err != nil {
		return err
	}
	var applied []checksumRow
	if exists {
		if err := d.Read(ctx).Where("source = ?", known[0].Source).Find(&applied).Error; err != nil {
			return err
		}
	}
	sums := map[int64]string{}
	for _, row := range applied {
		sums[row.Version] = row.SHA256
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

// noteChecksums keeps the checksums of the migrations after version current, before they are applied: those of applied
// ones are then known however the program ends.
func (d *DB) noteChecksums(ctx context.Context, current int64, known []checksumRow) error {
	if len(known) == 0 || known[len(known)-1].Version <= current {
		return nil
	}
	return d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		exists, err := d.hasTable(tx, checksumTable)
		if err != nil {
			return err
		}
		if !exists {
			const create = "CREATE TABLE " + checksumTable +
				" (source text, version bigint, sha256 text NOT NULL, PRIMARY KEY (source, version))"
			if err := tx.Exec(create).Error; err != nil {
				return fmt.Errorf("create the table of checksums: %w", err)
			}
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
