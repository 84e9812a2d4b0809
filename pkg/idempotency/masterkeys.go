package idempotency

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

// Rows are the kept answers, by the master key that seals them.
func Rows(d *db.DB, ring *keyring.Ring, c clock.Clock) masterkey.Rows {
	s := New(d, ring, c)
	return masterkey.Rows{What: "kept answers", Count: s.countByMasterKey, Reseal: s.reseal}
}

func (s *Store) countByMasterKey(tx *gorm.DB) (map[string]int, error) {
	var rows []struct {
		Name []byte
		N    int
	}
	err := tx.Table("idempotency_keys").Select("substr(answer, ?, ?) AS name, count(*) AS n",
		keyring.NameAt+1, keyring.NameSize).
		Where("answer IS NOT NULL AND expires_at > ?", s.clock.Now()).Group("name").Find(&rows).Error
	counts := map[string]int{}
	for _, row := range rows {
		counts[string(row.Name)] = row.N
	}
	return counts, err
}

// sealed is a kept answer and the primary key of its row.
type sealed struct {
	Scope, Key string
	Answer     []byte
}

// reseal goes through the table once, in the order of its primary key. What is written meanwhile is under the current
// key.
func (s *Store) reseal(ctx context.Context, progress func(done int)) (done int, err error) {
	const batch = 200
	var last sealed
	for {
		var rows []sealed
		err := s.db.Read(ctx).Table("idempotency_keys").Select("scope", "key", "answer").
			Where("answer IS NOT NULL AND expires_at > ? AND (scope, key) > (?, ?)",
				s.clock.Now(), last.Scope, last.Key).
			Where("substr(answer, ?, ?) <> ?", keyring.NameAt+1, keyring.NameSize, []byte(s.ring.Name())).
			Order("scope, key").Limit(batch).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return done, db.Error(err)
		}
		for _, row := range rows {
			if err := s.resealAnswer(ctx, row); err != nil {
				return done, err
			}
			done++
		}
		progress(done)
		last = rows[len(rows)-1]
	}
}

func (s *Store) resealAnswer(ctx context.Context, row sealed) error {
	bound := Key{Scope: row.Scope, Key: row.Key}.bound()
	plain, err := s.ring.Open(sealPurpose, row.Answer, bound)
	if err != nil {
		return fmt.Errorf("open a kept answer: %w", err)
	}
	fresh, err := s.ring.Seal(sealPurpose, plain, bound)
	if err != nil {
		return err
	}
	return s.db.Statement(ctx, func(_ context.Context, tx *gorm.DB) error {
		// No row means that the answer is gone, or that another run was faster.
		return tx.Exec("UPDATE idempotency_keys SET answer = ? WHERE scope = ? AND key = ? AND answer = ?",
			fresh, row.Scope, row.Key, row.Answer).Error
	})
}
