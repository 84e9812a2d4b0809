package ingest

import (
	"fmt"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// replayPortion is how many events are judged again at a time.
const replayPortion = 1000

// catchUp judges again what was judged before this memory began and is not in the stored states. Its findings are known.
func (m *memory) catchUp(b *usage.Batch) error {
	if m.replayed {
		return nil
	}
	var portion []usage.Replayed
	judge := func() error {
		events := make([]usage.Event, len(portion))
		for i := range portion {
			events[i] = portion[i].Event
		}
		if err := m.recall(subjectsOf(events), b.States); err != nil {
			return err
		}
		for i := range portion {
			o := events[i].Observation()
			m.observe(&o, portion[i].License.Detectable(), portion[i].Position)
		}
		portion = portion[:0]
		return nil
	}
	err := b.Replay(func(r *usage.Replayed) error {
		if err := readBody(&r.Event); err != nil {
			return fmt.Errorf("stored event %s: %w", r.ID, err)
		}
		if portion = append(portion, *r); len(portion) < replayPortion {
			return nil
		}
		return judge()
	})
	if err != nil {
		return err
	}
	m.replayed = true
	return judge()
}
