package telemetry

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Rewrite changes the data of spilled events: edit returns them anew, and whether they differ. It is for what must not
// be kept. It does not see the events that are in memory, and may be spilled until publishing them has failed.
func (r *Recorder) Rewrite(ctx context.Context, edit func(e event.Event) (edited []byte, changed bool)) error {
	next := `SELECT seq, events, payload FROM telemetry_spill WHERE seq > ? ORDER BY seq LIMIT 1`
	if r.cfg.DB.Engine() == db.Postgres {
		next += " FOR UPDATE" // another process that rewrites the same batch must not undo this one's edit
	}
	for seq := int64(0); ; {
		var rows []spilled
		err := r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			if err := tx.Raw(next, seq).Scan(&rows).Error; err != nil || len(rows) == 0 {
				return err
			}
			payload, changed, err := rewritten(rows[0].Payload, edit)
			if err != nil || !changed {
				return err
			}
			return tx.Exec(`UPDATE telemetry_spill SET payload = ?, bytes = ? WHERE seq = ?`,
				string(payload), len(payload), rows[0].Seq).Error
		})
		if err != nil || len(rows) == 0 {
			return db.Error(err)
		}
		seq = rows[0].Seq
	}
}

// rewritten is a batch with the events that differ. One that cannot be read will be dropped, and stays as it is.
func rewritten(payload string, edit func(event.Event) ([]byte, bool)) (batch []byte, changed bool, err error) {
	events, err := event.Decode([]byte(payload))
	if err != nil {
		return nil, false, nil
	}
	for i := range events {
		if data, differs := edit(events[i]); differs {
			events[i].Data, changed = data, true
		}
	}
	if !changed {
		return nil, false, nil
	}
	batch, err = event.EncodeBatch(events)
	return batch, true, err
}
