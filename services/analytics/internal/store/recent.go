package store

import (
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// maxRecent bounds the rows of one rollup that are remembered, at half a kilobyte each.
const maxRecent = 12_000

// recent remembers rollups as they were last committed, which spares reading them for every batch. Only the consumer writes
// them, so they hold as long as its epoch does: one of another epoch, and a transaction that failed, forget everything.
type recent struct {
	mu       sync.Mutex
	epoch    int64
	taken    int64 // events ever taken, -1 when that has to be read
	licenses map[string]*usage.License
	devices  map[usage.DeviceKey]*usage.Device
	networks map[usage.NetworkKey]time.Time
}

// begin makes the memory that of the epoch and holds it for the caller alone, until end.
func (r *recent) begin(epoch int64) {
	r.mu.Lock()
	if r.epoch != epoch {
		r.forget()
		r.epoch = epoch
	}
}

// forgetNetworks is for when rows of them have gone.
func (r *recent) forgetNetworks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.networks = map[usage.NetworkKey]time.Time{}
}

// end keeps the changes, which hold whole rows since they were merged, when they were committed; nil changes forget everything.
func (r *recent) end(c *usage.Changes) {
	defer r.mu.Unlock()
	if c == nil {
		r.forget()
		return
	}
	keep(r.licenses, c.Licenses)
	keep(r.devices, c.Devices)
	keep(r.networks, c.Networks)
}

func (r *recent) forget() {
	r.epoch, r.taken = 0, -1
	r.licenses, r.devices, r.networks = map[string]*usage.License{}, map[usage.DeviceKey]*usage.Device{}, map[usage.NetworkKey]time.Time{}
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
