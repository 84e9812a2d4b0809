package ingest

import (
	"context"
	"maps"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// rollupCache remembers rollups as they were last committed, which spares reading them for every batch. Only the
// consumer writes them, so they hold as long as its epoch does; but devices that are silent for long are pruned.
type rollupCache struct {
	usage.Rollups
	limit int // entries of each kind
}

func newRollupCache(limit int) *rollupCache { return &rollupCache{usage.NewRollups(), limit} }

// load is what is known of the rollups that the changes touch. Networks are not read: adding one again does no harm.
func (r *rollupCache) load(ctx context.Context, s Store, c *usage.Changes) (usage.Rollups, error) {
	before := usage.NewRollups()
	before.Networks = r.Networks
	var licenses []string
	var devices []usage.DeviceKey
	for id := range c.Licenses {
		if l := r.Licenses[id]; l != nil {
			before.Licenses[id] = l
		} else {
			licenses = append(licenses, id)
		}
	}
	for k := range c.Devices {
		if d := r.Devices[k]; d != nil && holds(d, c.Devices[k]) {
			before.Devices[k] = d
		} else {
			devices = append(devices, k)
		}
	}
	stored, err := s.Rollups(ctx, licenses, devices)
	maps.Copy(before.Licenses, stored.Licenses)
	maps.Copy(before.Devices, stored.Devices)
	return before, err
}

// deviceHolds is how long a device that is silent is in the database for certain. It is far below the time after which
// it is pruned.
const deviceHolds = 30 * 24 * time.Hour

// holds reports whether a device that is remembered is in the database still when a change of it comes. A change that
// tells no time may come at any.
func holds(d, change *usage.Device) bool {
	return !change.LastSeen.IsZero() && change.LastSeen.Sub(d.LastSeen) < deviceHolds
}

// keep remembers what was committed.
func (r *rollupCache) keep(changed usage.Rollups) {
	keep(r.Licenses, changed.Licenses, r.limit)
	keep(r.Devices, changed.Devices, r.limit)
	keep(r.Networks, changed.Networks, r.limit)
}

func keep[K comparable, V any](rows, changed map[K]V, limit int) {
	maps.Copy(rows, changed)
	for k := range rows {
		if len(rows) <= limit {
			return
		}
		delete(rows, k) // map order: any will do, it is read again when needed
	}
}
