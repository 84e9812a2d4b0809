package manage

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

type leaseBody struct {
	LeaseID       string     `json:"lease_id"`
	HardwareID    string     `json:"hardware_id"`
	SessionID     *string    `json:"session_id"`
	DeviceName    *string    `json:"device_name"`
	Entitlement   *string    `json:"entitlement"`
	LeasedAt      time.Time  `json:"leased_at"`
	LastSeenAt    time.Time  `json:"last_seen_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	BorrowedUntil *time.Time `json:"borrowed_until"`
}

func newLeaseBody(l *lease.Lease) leaseBody {
	return leaseBody{
		LeaseID:       l.ID,
		HardwareID:    l.HardwareID,
		SessionID:     httpx.TextOrNull(l.SessionID),
		DeviceName:    httpx.TextOrNull(l.DeviceName),
		Entitlement:   httpx.TextOrNull(l.Entitlement),
		LeasedAt:      l.LeasedAt,
		LastSeenAt:    l.LastSeenAt,
		ExpiresAt:     l.ExpiresAt,
		BorrowedUntil: httpx.TimeOrNull(l.BorrowedUntil),
	}
}

type leasesBody struct {
	LicenseID string          `json:"license_id"`
	Leases    []leaseBody     `json:"leases"`
	Slots     wire.LeaseSlots `json:"slots"`
	pageBody
}

func (m *Manage) listLeases(c *gin.Context) error {
	span, err := querySpanOf(c, 100, 1000, inTime)
	if err != nil {
		return err
	}
	id := licenseID(c)
	page, slots, err := m.Leases.Store.Leases(c.Request.Context(), id, span)
	if err != nil {
		return err
	}
	body := leasesBody{id, []leaseBody{}, wire.LeaseSlots(slots), newCountedBody(span, page)}
	for i := range page.Items {
		body.Leases = append(body.Leases, newLeaseBody(&page.Items[i]))
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) releaseLease(c *gin.Context) error {
	id, _ := uid.Parse(c.Param("lease_id"))
	l, slots, err := m.Leases.ReleaseFor(c.Request.Context(), rpc.ActorOf(c), licenseID(c), id)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, wire.NewReleasedLease(&l, slots))
	return nil
}
