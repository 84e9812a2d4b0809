package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

// FileKeyRows are the keys of license files, by the master key that seals them.
func FileKeyRows(d *db.DB, ring *keyring.Ring) masterkey.Rows {
	return sealedRows{d, ring, "file_keys", "kid", fileKeyPurpose}.rows("keys of license files")
}

// InstallationRows are the license of this installation itself, by the master key that seals it.
func InstallationRows(d *db.DB, ring *keyring.Ring) masterkey.Rows {
	return sealedRows{d, ring, "installation", "id", installationPurpose}.rows("the license of this installation")
}

// IntegrationRows are what integrations keep under master keys.
func IntegrationRows(d *db.DB, ring *keyring.Ring) []masterkey.Rows {
	return []masterkey.Rows{
		sealedRows{d, ring, "integration_keys", "id", integrationPurpose}.rows("keys of integrations"),
		sealedRows{d, ring, "response_keys", "kind", responseKeyPurpose}.rows("keys that sign answers"),
		sealedRows{d, ring, "offline_requests", "id", offlineRequestPurpose}.rows("answers to offline requests"),
	}
}

// sealedRows are a table with the columns sealed and master_key, where what is sealed is bound to the id of its row.
type sealedRows struct {
	db   *db.DB
	ring *keyring.Ring
	// id is the name of the column.
	table, id, purpose string
}

func (s sealedRows) rows(what string) masterkey.Rows {
	return masterkey.Rows{What: what, Count: s.count, Reseal: s.reseal}
}

func (s sealedRows) count(tx *gorm.DB) (map[string]int, error) { return countByMasterKey(tx, s.table) }

type sealedRow struct {
	ID        string
	Sealed    []byte
	MasterKey string
}

// reseal goes through the rows that other master keys sealed, a batch at a time: each leaves the condition.
func (s sealedRows) reseal(ctx context.Context, progress func(done int)) (done int, err error) {
	const batch = 200
	for {
		var rows []sealedRow
		err := s.db.Read(ctx).Table(s.table).Select(s.id+" AS id", "sealed", "master_key").
			Where("master_key <> ?", s.ring.Name()).Order(s.id).Limit(batch).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return done, translate(err)
		}
		for _, row := range rows {
			if err := s.resealRow(ctx, row); err != nil {
				return done, err
			}
			done++
			progress(done)
		}
	}
}

func (s sealedRows) resealRow(ctx context.Context, row sealedRow) error {
	plain, err := s.ring.Open(s.purpose, row.Sealed, []byte(row.ID))
	if err != nil {
		return err
	}
	sealed, err := s.ring.Seal(s.purpose, plain, []byte(row.ID))
	if err != nil {
		return err
	}
	return translate(s.db.Statement(ctx, func(_ context.Context, tx *gorm.DB) error {
		// Zero rows is fine: another run was faster.
		return tx.Table(s.table).Where(s.id+" = ? AND master_key = ?", row.ID, row.MasterKey).
			Updates(map[string]any{"sealed": sealed, "master_key": s.ring.Name()}).Error
	}))
}
