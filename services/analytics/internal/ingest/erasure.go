package ingest

import (
	"context"
	"fmt"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/decode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// erasuresIn is what events erase.
func erasuresIn(events []usage.Event) (erasures []*usage.Erasure, err error) {
	for i := range events {
		e, err := usage.ErasureOf(&events[i])
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", events[i].EventID, err)
		}
		if e != nil {
			erasures = append(erasures, e)
		}
	}
	return erasures, nil
}

// erase erases what the store has by now, the batch that asked for it included. It is done again with the batch when it
// fails, and memory starts again after it.
func (c *Consumer) erase(ctx context.Context, erasures []*usage.Erasure) error {
	if len(erasures) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	for _, e := range erasures {
		if err := c.store.Erase(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// clean takes out of events what was erased before they arrived.
func (m *memory) clean(events []usage.Event) error {
	if len(m.erasures) == 0 {
		return nil
	}
	for i := range events {
		for _, erasure := range m.erasures[events[i].LicenseID] {
			e := &events[i]
			data, changed := erasure.Clean(e.Data, e.At)
			if !changed {
				continue
			}
			cleaned := usage.Event{
				Observation: detect.Observation{EventID: e.EventID, Type: e.Type, At: e.At},
				Data:        data,
			}
			if err := decode.Event(&cleaned); err != nil {
				return fmt.Errorf("event %s without what was erased: %w", e.EventID, err)
			}
			*e = cleaned
		}
	}
	return nil
}
