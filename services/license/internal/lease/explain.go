package lease

import (
	"context"
	"errors"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Facts adds to a request for a lease, which is to be explained, what it needs of the leases. Errors: BorrowError.
func (s *Leases) Facts(ctx context.Context, r *licensing.Request, wanted Request) error {
	wanted.HardwareID = r.HardwareID
	p, err := s.Store.PeekLeases(ctx, wanted.call(r.License.ID), r.Now)
	if err != nil {
		return err
	}
	p.complete(r, wanted.wish(p.liveOf(wanted.holder())))
	if p.License.Floating == nil {
		return nil
	}
	return p.checkBorrow(p.borrowUntil(&wanted))
}

// RenewalFacts is Facts for the renewal of a lease, and answers whether it is live: licensing.Condition refuses with
// ErrNotFound, also for the lease of another device, and as EndedError does.
func (s *Leases) RenewalFacts(ctx context.Context, r *licensing.Request, leaseID string) (*licensing.Condition, error) {
	p, err := s.Store.PeekLeases(ctx, Call{LicenseID: r.License.ID, LeaseID: leaseID}, r.Now)
	if err != nil {
		return nil, err
	}
	live := &licensing.Condition{Check: "lease_live", Before: "hardware_id_unique"}
	l, err := p.find(leaseID)
	if err != nil || l.HardwareID != r.HardwareID {
		live.Refusal = ErrNotFound
		return live, nil
	}
	p.complete(r, wish{Holder: l.Holder, held: l, entitlement: l.Entitlement})
	if ended := new(EndedError); errors.As(p.ended(l), &ended) {
		live.Refusal, live.Observed = ended.reason, map[string]any{"slot_free": ended.SlotFree}
	}
	return live, nil
}
