package masterkey

import (
	"context"
	"fmt"
)

// Rotate moves everything that other master keys of the ring protect to the current one, and forgets those keys. It can
// be stopped and run again, and the services keep running. It fails when rows remain, because another process
// still writes under another key. progress hears what is being moved and how many are done; Rotate returns how many
// rows it moved in all. It is the third of four steps, which docs/operations.md has under Master key.
func (r *Register) Rotate(ctx context.Context, progress func(what string, done int)) (moved int, err error) {
	if err := r.Start(ctx); err != nil {
		return 0, err
	}
	for _, rows := range r.rows {
		n, err := rows.Reseal(ctx, func(done int) { progress(rows.What, done) })
		moved += n
		if err != nil {
			return moved, fmt.Errorf("move %s to master key %s: %w", rows.What, r.Ring.Name(), err)
		}
	}
	if err := r.Start(ctx); err != nil {
		return moved, err
	}
	return moved, r.complete(ctx)
}

func (r *Register) complete(ctx context.Context) error {
	usages, err := r.Usage(ctx)
	if err != nil {
		return err
	}
	for _, u := range usages {
		if u.Name != r.Ring.Name() {
			return fmt.Errorf("rows were written under master key %s meanwhile: a process still has it as "+
				"LATCHKEY_MASTER_KEY; make %s current everywhere, then run this again", u, r.Ring.Name())
		}
	}
	return nil
}
