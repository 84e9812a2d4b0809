package counter

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

func thresholdReached(
	l *licensing.License, c *Counter, t *licensing.CounterTerms, threshold int, now time.Time,
) *eventsv1.LicenseCounterThreshold {
	return &eventsv1.LicenseCounterThreshold{
		LicenseId: l.ID,
		Counter:   t.Name,
		Threshold: int32(min(threshold, 100)),
		Overage:   threshold == overage,
		Used:      float64(c.Used),
		Limit:     float64(*t.Limit),
		Version:   int32(l.Version),
		License:   licensing.Snapshot(l, now),
		ResetsAt:  event.Timestamp(c.ResetsAt),
	}
}

// audited is an entry of the audit log about the number of a counter.
func audited(
	by *licensing.Actor, action string, l *licensing.License, before, after map[string]any,
) *eventsv1.AuditRecorded {
	entry := audit.Entry(by, action, before, after)
	entry.LicenseId = l.ID
	return entry
}
