package lease

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

func lease(l *Lease) *eventsv1.Lease {
	return &eventsv1.Lease{
		LeaseId:        l.ID,
		HardwareId:     l.HardwareID,
		SessionId:      licensing.CutText(l.SessionID),
		Entitlement:    l.Entitlement,
		LeasedAt:       event.Timestamp(l.LeasedAt),
		LeaseExpiresAt: event.Timestamp(l.ExpiresAt),
		BorrowedUntil:  event.Timestamp(l.BorrowedUntil),
	}
}

func leasedEvent(p *Pool, l *Lease, r *Request) *eventsv1.LicenseLeased {
	e := &eventsv1.LicenseLeased{
		LicenseId:  l.LicenseID,
		HardwareId: l.HardwareID,
		SessionId:  licensing.CutText(r.SessionID),
		DeviceName: licensing.CutText(r.DeviceName),
		Os:         licensing.CutText(r.OS()),
		AppVersion: licensing.CutText(r.AppVersion),
		Ip:         r.IP,
		ViaProxy:   r.ViaProxy,
		ClientTime: event.Timestamp(r.Time),
		Lease:      lease(l),
		Slots:      int32(p.Slots().Total),
		InUse:      int32(p.InUse),
		License:    licensing.Snapshot(&p.License, p.Now),
	}
	if r.deniedAgo != nil {
		seconds := r.deniedAgo.Seconds()
		e.AfterDenialSeconds = &seconds
	}
	return e
}

func releasedEvent(license *licensing.License, l *Lease, by string, now time.Time) *eventsv1.LicenseLeaseReleased {
	return &eventsv1.LicenseLeaseReleased{
		LicenseId:  l.LicenseID,
		HardwareId: l.HardwareID,
		Lease:      lease(l),
		ReleasedAt: event.Timestamp(l.EndedAt),
		By:         by,
		License:    licensing.Snapshot(license, now),
	}
}

func expiredEvent(license *licensing.License, l *Lease, now time.Time) *eventsv1.LicenseLeaseExpired {
	return &eventsv1.LicenseLeaseExpired{
		LicenseId: l.LicenseID, HardwareId: l.HardwareID, Lease: lease(l), License: licensing.Snapshot(license, now),
	}
}

func evictedEvent(p *Pool, l *Lease, byLease string) *eventsv1.LicenseLeaseEvicted {
	return &eventsv1.LicenseLeaseEvicted{
		LicenseId:  l.LicenseID,
		HardwareId: l.HardwareID,
		Lease:      lease(l),
		EvictedAt:  event.Timestamp(l.EndedAt),
		ByLeaseId:  byLease,
		License:    licensing.Snapshot(&p.License, p.Now),
	}
}

// deniedEvent tells of a verdict against a lease, with the slots where they were the reason. Its snapshot lacks
// the lists of the license, which may take a hundred times the room: who has the key may be denied on and on.
func deniedEvent(v *licensing.RefusedError, c licensing.Client) *eventsv1.LicenseLeaseDenied {
	reason, license := apierr.From(v), licensing.Snapshot(v.License, v.Now)
	license.Terms.Features, license.Terms.Entitlements, license.Terms.Counters = nil, nil, nil
	e := &eventsv1.LicenseLeaseDenied{
		LicenseId:  v.License.ID,
		HardwareId: c.HardwareID,
		SessionId:  licensing.CutText(c.SessionID),
		DeviceName: licensing.CutText(c.DeviceName),
		Os:         licensing.CutText(c.OS()),
		AppVersion: licensing.CutText(c.AppVersion),
		Ip:         c.IP,
		ViaProxy:   c.ViaProxy,
		ClientTime: event.Timestamp(c.Time),
		ErrorCode:  reason.Code,
		Reason:     reason.Message,
		License:    license,
	}
	if reason.Is(licensing.ErrLeaseLimit) {
		taken := v.Lease.Taken()
		e.Slots, e.InUse = int32(taken.Slots), int32(taken.InUse)
		e.EarliestEnd = event.Timestamp(taken.EarliestEnd)
	}
	return e
}

func releaseAudited(by *licensing.Actor, l *Lease) *eventsv1.AuditRecorded {
	entry := audit.Entry(by, "lease.release", map[string]any{
		"lease_id": l.ID, "hardware_id": l.HardwareID, "session_id": l.SessionID, "ended": false,
	}, map[string]any{"lease_id": l.ID, "ended": true})
	entry.LicenseId = l.LicenseID
	return entry
}
