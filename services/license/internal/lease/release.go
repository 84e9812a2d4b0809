package lease

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Who gives a lease back, as events name it.
const (
	byClient       = "client"
	byAdmin        = "admin"
	byDeactivation = "deactivation"
)

// Release gives a lease back; once more does no harm. Errors: ErrNotFound, EndedError for a lease that ended otherwise.
func (s *Leases) Release(ctx context.Context, proof Proof) (Lease, Slots, error) {
	return s.release(ctx, proof.call(), func(p *Pool) (Lease, error) {
		l, _, err := p.release(proof.LeaseID, byClient)
		return l, err
	})
}

// Held reports whether a client who is known to use the license has a live lease of it. It changes nothing.
func (s *Leases) Held(ctx context.Context, licenseID string, c licensing.Client) (bool, error) {
	h := Holder{c.HardwareID, c.SessionID}
	p, err := s.Store.PeekLeases(ctx, Call{LicenseID: licenseID, Holder: h}, s.Seats.Clock.Now())
	return err == nil && p.liveOf(h) != nil, err
}

// ReleaseHeld is Release for a client who is known to use the license. There may be no lease that it holds.
func (s *Leases) ReleaseHeld(ctx context.Context, licenseID string, c licensing.Client) error {
	h := Holder{c.HardwareID, c.SessionID}
	_, _, err := s.release(ctx, Call{LicenseID: licenseID, Holder: h}, func(p *Pool) (Lease, error) {
		held := p.liveOf(h)
		if held == nil || p.OfAnotherUser(&c) {
			return Lease{}, nil
		}
		l, _, err := p.release(held.ID, byClient)
		return l, err
	})
	return err
}

// ReturnLate gives back the last lease of a client who is known to use the license although it has ended, and tells
// whether it did: not for one that is live, or was given back before.
func (s *Leases) ReturnLate(ctx context.Context, licenseID string, c licensing.Client) (late bool, err error) {
	h := Holder{c.HardwareID, c.SessionID}
	err = s.Store.ChangeLeases(ctx, Call{LicenseID: licenseID, Holder: h, Last: true}, func(p *Pool) error {
		late = !p.OfAnotherUser(&c) && p.returnLate(h)
		return nil
	})
	return late, err
}

func (p *Pool) returnLate(h Holder) bool {
	var last *Lease
	for _, l := range p.Named {
		if l.Holder == h && (last == nil || l.LeasedAt.After(last.LeasedAt)) {
			last = l
		}
	}
	if last == nil || last.Ending == Released || last.live(p.Now) {
		return false
	}
	if last.Ending == "" {
		p.Emit(last.Expire(&p.License, p.Now))
	}
	last.end(Released, last.EndedAt)
	p.change(last)
	return true
}

// ReleaseFor is Release for an administrator. It also ends what was borrowed, whether it was given back or not: the
// device may go on until the end of its token, and counts no longer, neither as a borrower nor for an entitlement; once
// it leaves its seat revocation lists name it.
func (s *Leases) ReleaseFor(ctx context.Context, by *licensing.Actor, licenseID, leaseID string) (Lease, Slots, error) {
	call := Call{LicenseID: licenseID, LeaseID: leaseID}
	return s.release(ctx, call, func(p *Pool) (Lease, error) {
		l, changed, err := p.release(leaseID, byAdmin)
		if err == nil && (p.forgetBorrower(leaseID) || changed) {
			p.Emit(releaseAudited(by, &l))
		}
		return l, err
	})
}

func (s *Leases) release(ctx context.Context, c Call, decide func(*Pool) (Lease, error)) (Lease, Slots, error) {
	var l Lease
	var slots Slots
	err := s.Store.ChangeLeases(ctx, c, func(p *Pool) (err error) {
		l, err = decide(p)
		slots = p.Slots()
		return err
	})
	if err != nil {
		return Lease{}, Slots{}, err
	}
	return l, slots, nil
}

// release reports whether the lease had not been given back before.
func (p *Pool) release(id, by string) (released Lease, changed bool, err error) {
	l, err := p.find(id)
	if err != nil {
		return Lease{}, false, err
	}
	if l.Ending == Released {
		return *l, false, nil
	}
	if err := p.ended(l); err != nil {
		return Lease{}, false, err
	}
	l.end(Released, p.Now)
	p.InUse--
	p.unclaim(l)
	p.change(l)
	p.Emit(releasedEvent(&p.License, l, by, p.Now))
	return *l, true, nil
}

// forgetBorrower has a borrowed lease count no more from the next transaction on, and reports whether it did.
func (p *Pool) forgetBorrower(id string) bool {
	l, err := p.find(id)
	if err != nil || !l.borrowed(p.Now) {
		return false
	}
	p.Recalled = append(p.Recalled, *l)
	l.BorrowedUntil = time.Time{}
	p.change(l)
	return true
}

// LeaveSeat ends a live lease of a device that has left its seat, under the lock of the license, and returns the event.
func (l *Lease) LeaveSeat(license *licensing.License, now time.Time) proto.Message {
	l.end(Released, now)
	return releasedEvent(license, l, byDeactivation, now)
}
