package store

import (
	"sync"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// maxRecent bounds the rows of one rollup that are remembered, at half a kilobyte each.
const maxRecent = 20_000

// recent remembers rollups as they were last committed, which spares reading them for every batch. Only the consumer writes
// them, so they hold as long as its epoch does: one of another epoch, and a transaction that failed, forget everything.
type recent struct {
	mu       sync.Mutex
	epoch    int64
	licenses map[string]*usage.License
	days     map[usage.DayKey]*usage.Day
	devices  map[usage.DeviceKey]*usage.Device
}

// begin makes the memory that of the epoch and holds it for the caller alone, until end.
func (r *recent) begin(epoch int64) {
	r.mu.Lock()
	if r.epoch != epoch {
		r.forget()
		r.epoch = epoch
	}
}

// end keeps the changes, which hold whole rows since they were merged, when they were committed; nil changes forget everything.
func (r *recent) end(c *usage.Changes) {
	defer r.mu.Unlock()
	if c == nil {
		r.forget()
		return
	}
	keep(r.licenses, c.Licenses)
	keep(r.days, c.Days)
	keep(r.devices, c.Devices)
}

func (r *recent) forget() {
	r.epoch = 0
	r.licenses, r.days, r.devices = map[string]*usage.License{}, map[usage.DayKey]*usage.Day{}, map[usage.DeviceKey]*usage.Device{}
}

func keep[K comparable, V any](rows, changed map[K]V) {
	for k, v := range changed {
		rows[k] = v
	}
	for k := range rows {
		if len(rows) <= maxRecent {
			return
		}
		delete(rows, k) // map order: any will do, it is read again when needed
	}
}
