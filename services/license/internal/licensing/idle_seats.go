package licensing

import (
	"context"
	"errors"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// maxCulled is from how many licenses one call of Cull frees seats.
const maxCulled = 500

// Cull frees the seats on which nobody was seen for as long as their licenses allow, and returns how many those were.
// Time in which sightings were not written, by an outage or maintenance, does not count. A job of the service calls it
// every minute.
func (s *Seats) Cull(ctx context.Context) (total int, err error) {
	now := s.Clock.Now()
	ids, err := s.Store.Idle(ctx, now, maxCulled)
	if err != nil {
		return 0, err
	}
	var failed error
	for _, id := range ids {
		var n int
		err := s.Store.Change(ctx, id, nil, func(ch *Change) (err error) {
			n, err = ch.cull(now)
			return err
		})
		if err == nil {
			total += n
		}
		failed = errors.Join(failed, err)
	}
	return total, failed
}

// cull frees the seats of a license on which nobody was seen for too long. A device that may still run offline keeps
// its seat.
func (ch *Change) cull(now time.Time) (int, error) {
	minutes := ch.License.rules().IdleMinutes
	if minutes == 0 {
		return 0, nil
	}
	idle, err := ch.Reads.Idle(time.Duration(minutes)*time.Minute, now)
	if err != nil {
		return 0, err
	}
	ch.BorrowsGoOn = ch.BorrowsGoOn || len(idle) > 0
	for _, d := range idle {
		ch.Devices[d.HardwareID] = d
		d.IsActive, d.DeactivatedAt = false, now
		ch.License.CurrentDevices--
		ch.License.touch(now)
		ch.Emit(&eventsv1.DeviceCulled{
			LicenseId:      ch.License.ID,
			DeviceId:       d.ID,
			HardwareId:     d.HardwareID,
			DeviceName:     CutText(d.Name),
			LastSeenAt:     timestamp(d.LastSeenAt),
			CurrentDevices: int32(ch.License.CurrentDevices),
			MaxDevices:     int32(ch.License.MaxDevices),
			Version:        int32(ch.License.Version),
			License:        Snapshot(&ch.License, now),
		})
	}
	return len(idle), nil
}
