package usage

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	// refusalDays is how far back refusals are listed.
	refusalDays = 30
	// refusalEvents is how many are read at most: a client that asks on and on makes no answer dear.
	refusalEvents = 2000
)

// Refusal is what a device was refused of a license, under one code.
type Refusal struct {
	HardwareID, ErrorCode string
	// DeviceName, AppVersion and IP are those told last; some events tell none.
	DeviceName, AppVersion, IP string
	Count                      int
	First, Last                time.Time
}

// Refusals are the devices that a license refused of late.
type Refusals struct {
	// Since is from when on all refusals are in the list.
	Since time.Time
	// Devices are those of a page, the ones refused last first; Total are those of all pages.
	Devices []Refusal
	Total   int
}

// Refusals lists the devices that the license refused of late, by what license publishes of refusals (their types stand
// in store/events.go). Support sees them at GET /api/v1/admin/licenses/{id}/refusals. Page counts from 1.
func (r *Reports) Refusals(ctx context.Context, licenseID string, page, perPage int) (*Refusals, error) {
	l, err := find(ctx, r.Store, licenseID)
	if err != nil {
		return nil, err
	}
	now := r.Clock.Now()
	since := now.AddDate(0, 0, -refusalDays)
	if r.Retention > 0 {
		since = clock.Later(since, now.Add(-r.Retention))
	}
	events, err := r.Log.Refusals(ctx, l.ID, since, refusalEvents)
	if err != nil {
		return nil, err
	}
	if len(events) == refusalEvents {
		since = events[refusalEvents-1].At
	}
	all := refusalsOf(events)
	from := min((page-1)*perPage, len(all))
	return &Refusals{Since: since, Devices: all[from:min(from+perPage, len(all))], Total: len(all)}, nil
}

// refusalsOf counts events, which come newest first, by device and code.
func refusalsOf(events []Event) []Refusal {
	type key struct{ hardwareID, code string }
	at, all := map[key]int{}, []Refusal{}
	for i := range events {
		e := &events[i]
		k := key{e.HardwareID, e.ErrorCode}
		n, known := at[k]
		if !known {
			n, at[k] = len(all), len(all)
			all = append(all, Refusal{HardwareID: e.HardwareID, ErrorCode: e.ErrorCode, Last: e.At})
		}
		r := &all[n]
		r.Count++
		r.First = e.At
		r.DeviceName = cmp.Or(r.DeviceName, e.DeviceName)
		r.AppVersion = cmp.Or(r.AppVersion, e.AppVersion)
		r.IP = cmp.Or(r.IP, e.IP)
	}
	return all
}
