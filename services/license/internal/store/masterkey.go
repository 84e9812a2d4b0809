package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// KeyRows are the license keys, by the master key that hashes and seals them.
func KeyRows(d *db.DB, ring *keyring.Ring) masterkey.Rows {
	k := keyRows{db: d, ring: ring, table: "licenses", license: "id"}
	return masterkey.Rows{What: "license keys", Count: k.count, Reseal: k.reseal}
}

// FormerKeyRows is KeyRows for the keys that licenses had before a rotation.
func FormerKeyRows(d *db.DB, ring *keyring.Ring) masterkey.Rows {
	k := keyRows{db: d, ring: ring, table: "former_keys", license: "license_id"}
	return masterkey.Rows{What: "former license keys", Count: k.count, Reseal: k.reseal}
}

type keyRows struct {
	db   *db.DB
	ring *keyring.Ring
	// license is the column of the table with the id of the license.
	table, license string
}

// keyRow is a key of whichever table.
type keyRow struct {
	ID, LicenseID string
	KeySealed     []byte
	MasterKey     string
}

func (k keyRows) count(tx *gorm.DB) (map[string]int, error) { return countByMasterKey(tx, k.table) }

// countByMasterKey counts the rows of a table by their column master_key.
func countByMasterKey(tx *gorm.DB, table string) (map[string]int, error) {
	var rows []struct {
		MasterKey string
		N         int
	}
	err := tx.Table(table).Select("master_key, count(*) AS n").Group("master_key").Find(&rows).Error
	counts := map[string]int{}
	for _, row := range rows {
		counts[row.MasterKey] = row.N
	}
	return counts, err
}

// reseal goes through the rows once, in the order of their ids. A key that cannot be moved does not hold up the others.
func (k keyRows) reseal(ctx context.Context, progress func(done int)) (done int, err error) {
	const batch = 200
	var failures []error
	for last := uid.Nil; ; {
		var rows []keyRow
		err := k.db.Read(ctx).Table(k.table).Select("id", k.license+" AS license_id", "key_sealed", "master_key").
			Where("id > ? AND master_key <> ?", last, k.ring.Name()).Order("id").Limit(batch).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return done, errors.Join(append(failures, translate(err))...)
		}
		for _, row := range rows {
			switch err := k.resealRow(ctx, row); {
			case db.IsDuplicate(err):
				failures = append(failures, fmt.Errorf(
					"license %s has a key that another license has under the current master key", row.LicenseID))
			case err != nil:
				return done, err
			default:
				done++
			}
		}
		progress(done)
		last = rows[len(rows)-1].ID
	}
}

func (k keyRows) resealRow(ctx context.Context, row keyRow) error {
	key, err := k.ring.Open(keyPurpose, row.KeySealed, []byte(row.LicenseID))
	if err != nil {
		return fmt.Errorf("open the key of license %s: %w", row.LicenseID, err)
	}
	sealed, err := sealKey(k.ring, row.LicenseID, string(key))
	if err != nil {
		return err
	}
	return k.db.Statement(ctx, func(_ context.Context, tx *gorm.DB) error {
		// Zero rows is fine: another run was faster.
		return tx.Table(k.table).Where("id = ? AND master_key = ? AND key_sealed = ?",
			row.ID, row.MasterKey, row.KeySealed).Updates(map[string]any{
			"key_hash": sealed.KeyHash, "key_sealed": sealed.KeySealed, "master_key": sealed.MasterKey,
		}).Error
	})
}
