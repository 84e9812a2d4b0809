package telemetry

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Rewrite changes the data of spilled events: edit returns the new data, and whether they differ. It is for what must
// not be kept. It does not see the events that are in memory, and may be spilled until publishing them has failed.
func (r *Recorder) Rewrite(ctx context.Context, edit func(e event.Event) (edited []byte, changed bool)) error {
	batches := db.Edit[spilled]{
		Rows:   `SELECT seq, events, payload FROM telemetry_spill WHERE true`,
		Page:   1, // a batch may have some megabytes
		Key:    "seq",
		KeyOf:  func(b *spilled) any { return b.Seq },
		Change: func(b *spilled) (bool, error) { return b.rewrite(edit) },
		Store: func(tx *gorm.DB, b *spilled) error {
			return tx.Exec(`UPDATE telemetry_spill SET payload = ?, bytes = ? WHERE seq = ?`,
				b.Payload, len(b.Payload), b.Seq).Error
		},
	}
	return batches.Run(ctx, r.cfg.DB)
}

// rewrite edits a batch. One that cannot be read will be dropped, and stays as it is.
func (b *spilled) rewrite(edit func(event.Event) ([]byte, bool)) (changed bool, err error) {
	events, err := event.Decode([]byte(b.Payload))
	if err != nil {
		return false, nil
	}
	for i := range events {
		if data, differs := edit(events[i]); differs {
			events[i].Data, changed = data, true
		}
	}
	if !changed {
		return false, nil
	}
	payload, err := event.EncodeBatch(events)
	b.Payload = string(payload)
	return true, err
}
