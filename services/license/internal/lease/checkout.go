package lease

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Request is a device that wants a slot.
type Request struct {
	// Client names the holder by HardwareID and SessionID.
	licensing.Client
	// Entitlement is a code that the license must grant, empty for none.
	Entitlement string
	// BorrowUntil is until when the device wants to do without renewals, zero for not. What it gets is decided by
	// Pool.until, and ends by itself at the lease's ExpiresAt; ReleaseFor frees the slot before that.
	BorrowUntil licensing.End
	// deniedAgo is how long ago the device was denied a lease, nil for never.
	deniedAgo *time.Duration
	caller    licensing.Caller
	// recognized tells that HardwareID has been looked up: it is the license's name for the device.
	recognized bool
}

func (r *Request) borrows() bool { return !r.BorrowUntil.At.IsZero() }

// borrowUntil is what a request says, in the time zone of the license.
func (p *Pool) borrowUntil(r *Request) time.Time { return r.BorrowUntil.In(p.License.Location()) }

func (r *Request) holder() Holder { return Holder{r.HardwareID, r.SessionID} }

func (r *Request) call(licenseID string) Call {
	return Call{
		LicenseID: licenseID, Holder: r.holder(), Entitlement: r.Entitlement, Borrows: r.borrows(),
	}
}

// Grant is a lease that was just given or renewed.
type Grant struct {
	Lease Lease
	Slots Slots
	// Created is false for one that the holder had already.
	Created bool
	// Token proves the lease, also without the server.
	Token    string
	features []string
	// featuresUntil are the ends of those features that end before the lease does, entitlementEnd that of the
	// entitlement that it claims, zero for none.
	featuresUntil  map[string]time.Time
	entitlementEnd time.Time
	// device is the holder's, nil for one that never had a seat.
	device *licensing.Device
}

// CheckOut gives a device a lease, or renews the one that it has for the same session. Whether a slot is free is
// decided by the row slot_free of licensing/verdict.go. Errors: licensing.ErrNotFound,
// licensing.ErrHardwareIDNotUnique, BorrowError, and the verdicts on a lease.
func (s *Leases) CheckOut(ctx context.Context, key string, r Request) (Grant, error) {
	licenseID, err := s.Seats.IDByKey(ctx, key, &r.Client)
	if err != nil {
		return Grant{}, err
	}
	g, err := s.checkOut(ctx, licenseID, &r)
	if errors.Is(err, errUnrecognized) {
		r.recognized = true
		if _, err = s.Seats.Recognized(ctx, licenseID, &r.Client); err == nil {
			err = s.Seats.Rebound(ctx, licenseID, &r.Client, func(ctx context.Context) (err error) {
				g, err = s.checkOut(ctx, licenseID, &r)
				return err
			})
		}
	}
	if err != nil {
		return Grant{}, s.recordDenial(licenseID, r.Client, err)
	}
	return g, nil
}

func (s *Leases) checkOut(ctx context.Context, licenseID string, r *Request) (g Grant, err error) {
	if r.caller, err = s.Seats.Caller(ctx, licenseID, &r.Client); err != nil {
		return Grant{}, err
	}
	if ago, ok := s.denials.since(licenseID, r.HardwareID, s.Seats.Clock.Now()); ok {
		r.deniedAgo = &ago
	}
	call := r.call(licenseID)
	g, err = s.grant(ctx, call, r.Client, func(p *Pool) (Grant, error) { return p.checkOut(newID(), r) })
	if err == nil && r.deniedAgo != nil {
		s.denials.forget(licenseID, r.HardwareID)
	}
	return g, err
}

// grant carries out a call that gives or renews a lease. The proof of it is signed while the store writes: that takes
// the processor as long as the lease takes the database.
func (s *Leases) grant(
	ctx context.Context, c Call, who licensing.Client, decide func(*Pool) (Grant, error),
) (Grant, error) {
	var g Grant
	var proof <-chan signature
	err := s.Store.ChangeLeases(ctx, c, func(p *Pool) (err error) {
		if g, err = decide(p); err == nil {
			proof = s.Tokens.signing(g)
		}
		return err
	})
	if err != nil {
		return Grant{}, err // a batch may still be running decide, which writes g and proof: see ports.go
	}
	if d := g.device; d != nil && d.IsActive {
		s.Seats.NoteSeen(d, who)
	}
	s.granted.Store(g.Lease.LastSeenAt.UnixMicro())
	s.noteNetwork(&g, &who)
	signed := <-proof
	g.Token = signed.token
	return g, signed.err
}

// checkOut is the rule of a lease that a device asks for, under the lock of the license. A new lease gets id.
func (p *Pool) checkOut(id string, r *Request) (Grant, error) {
	if !r.recognized && p.Unrecognized(&r.Client) {
		return Grant{}, errUnrecognized
	}
	onRecord, live := p.onRecord(r.holder()), p.liveOf(r.holder())
	err := p.judge(r.wish(live))
	if err == nil {
		err = p.checkBorrow(p.borrowUntil(r))
	}
	if err != nil {
		return Grant{}, err
	}
	if live != nil {
		if r.Entitlement != "" && r.Entitlement != live.Entitlement {
			p.unclaim(live)
			live.Entitlement = r.Entitlement
			p.claim(live)
		}
		p.extend(live, p.borrowUntil(r))
		return p.granted(live, false), nil
	}
	if onRecord != nil {
		p.change(onRecord)
		p.Emit(onRecord.Expire(&p.License, p.Now))
	}
	return p.granted(p.give(id, r), true), nil
}

// wish is what the request wants; held is the live lease that the holder has, or nil.
func (r *Request) wish(held *Lease) wish {
	entitlement := r.Entitlement
	if held != nil {
		entitlement = cmp.Or(entitlement, held.Entitlement)
	}
	return wish{
		Holder: r.holder(), held: held, entitlement: entitlement, borrows: r.borrows(), caller: r.caller,
	}
}

// give makes the lease that was admitted. It is the first use of a license whose time has not begun, as extend is where
// the license got such terms under a live lease.
func (p *Pool) give(id string, r *Request) *Lease {
	p.Start(p.Now)
	end, borrowed := p.until(r.Entitlement, p.borrowUntil(r), time.Time{})
	l := &Lease{
		ID:            id,
		LicenseID:     p.License.ID,
		Holder:        r.holder(),
		DeviceName:    r.DeviceName,
		Entitlement:   r.Entitlement,
		LeasedAt:      p.Now,
		LastSeenAt:    p.Now,
		ExpiresAt:     end,
		BorrowedUntil: borrowed,
	}
	p.makeRoom(l.ID)
	p.add(l)
	p.Emit(leasedEvent(p, l, r))
	return l
}

func (p *Pool) add(l *Lease) {
	p.InUse++
	p.claim(l)
	p.EarliestEnd = clock.Earlier(p.EarliestEnd, l.ExpiresAt)
	p.Named, p.Evictable = append(p.Named, l), append(p.Evictable, l)
	p.lend(l)
	p.change(l)
}

// extend renews a live lease.
func (p *Pool) extend(l *Lease, borrow time.Time) {
	p.Start(p.Now)
	end, borrowed := p.until(l.Entitlement, borrow, l.BorrowedUntil)
	before := l.BorrowedUntil
	l.LastSeenAt, l.ExpiresAt, l.BorrowedUntil = p.Now, end, borrowed
	if borrowed.After(before) {
		p.lend(l)
	}
	p.change(l)
}

func (p *Pool) granted(l *Lease, created bool) Grant {
	claimed, _ := p.License.Entitlement(l.Entitlement)
	return Grant{
		Lease:          *l,
		Slots:          p.Slots(),
		Created:        created,
		features:       p.License.UsableFeatures(p.Now),
		featuresUntil:  p.License.FeaturesUntil(p.Now, l.ExpiresAt),
		entitlementEnd: claimed.ExpiresAt,
		device:         p.Devices[l.HardwareID],
	}
}

// recordDenial remembers a denial for lack of slots, publishes it, and returns err.
func (s *Leases) recordDenial(licenseID string, c licensing.Client, err error) error {
	now := s.Seats.Clock.Now()
	if errors.Is(err, licensing.ErrLeaseLimit) {
		s.denials.note(licenseID, c.HardwareID, now)
	}
	var verdict *licensing.RefusedError
	if errors.As(err, &verdict) {
		s.Seats.Telemetry.Record(licensing.Source, licenseID, now, deniedEvent(verdict, c))
	}
	return err
}
