package lease

import (
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Pool is the leases of one license under its lock, as far as calls name them.
type Pool struct {
	// Change has the license, the devices that calls name, and the events.
	licensing.Change
	// Now is the time by the clock of the database, read under the lock.
	Now time.Time
	// SlotUse is that of the live leases of the license. How many slots there are its terms tell, here and in what
	// follows.
	licensing.SlotUse
	// Entitled are the holders who have a slot of an entitlement, by the codes that calls name: by a live lease, or by
	// a borrowed one that was given back and goes on without the server.
	Entitled map[string]licensing.SlotUse
	// GoesOn has those claims of holders whom calls concern, and to the codes in Entitled, that a lease given back
	// leaves until its BorrowedUntil.
	GoesOn map[Claim]bool
	// Named are the leases that calls name.
	Named []*Lease
	// Evictable are leases to choose from when one has to go: those longest unseen, as many as the calls could need.
	Evictable []*Lease
	// Borrowers are the holders whom a borrowed lease, live or given back, lets go on without the server; By has those
	// of them that calls name. They are loaded only where a call borrows.
	Borrowers struct {
		licensing.SlotUse
		By map[Holder]bool
	}
	changed []*Lease
	// Recalled are the leases that no longer count as borrowed although their devices may go on, as they were.
	Recalled []Lease
}

// Changed are the leases to be written, in the order in which they were changed.
func (p *Pool) Changed() []*Lease { return p.changed }

func (p *Pool) change(l *Lease) {
	if !slices.Contains(p.changed, l) {
		p.changed = append(p.changed, l)
	}
}

// Slots are those of the license.
func (p *Pool) Slots() Slots {
	if p.License.Floating == nil {
		return Slots{InUse: p.InUse}
	}
	return Slots{Total: p.License.Floating.Slots, InUse: p.InUse}
}

// find returns the named lease that has an id. Errors: ErrNotFound.
func (p *Pool) find(id string) (*Lease, error) {
	for _, l := range p.Named {
		if l.ID == id {
			return l, nil
		}
	}
	return nil, ErrNotFound
}

// onRecord is the lease of a holder whose end is not recorded, nil for none. It may have expired: see liveOf.
func (p *Pool) onRecord(h Holder) *Lease {
	for _, l := range p.Named {
		if l.Holder == h && l.Ending == "" {
			return l
		}
	}
	return nil
}

// liveOf is the live lease of a holder, nil for none.
func (p *Pool) liveOf(h Holder) *Lease {
	if l := p.onRecord(h); l != nil && l.live(p.Now) {
		return l
	}
	return nil
}

// wish is a lease that a holder wants.
type wish struct {
	Holder
	// held is the live lease that the holder has, nil for none.
	held        *Lease
	entitlement string
	borrows     bool
	caller      licensing.Caller
}

// judge is the verdict on a lease that somebody wants.
func (p *Pool) judge(w wish) error {
	// A refusal outlives the lock, and others may change the license under it.
	license := p.License
	r := w.caller.Asks(licensing.OperationLease, &license, p.Devices[w.HardwareID], p.Now)
	p.complete(&r, w)
	return licensing.Decide(r)
}

// complete adds to a request for a lease what it needs of the leases.
func (p *Pool) complete(r *licensing.Request, w wish) {
	r.Lease = &licensing.LeaseNeed{
		Borrows:   w.borrows,
		Held:      w.held != nil,
		SlotUse:   p.SlotUse,
		Borrowers: p.Borrowers.SlotUse,
		BorrowsOn: p.Borrowers.By[w.Holder],
	}
	if f := p.License.Floating; f != nil {
		r.Lease.Slots, r.Lease.Evicts = f.Slots, len(p.evictable()) >= p.excess()
		r.Lease.Borrowers.Slots = f.Slots
	}
	if w.entitlement != "" {
		r.Needs = &licensing.Needs{Entitlements: []string{w.entitlement}}
		p.needEntitlement(r.Lease, w)
	}
	if r.Enrollment != nil && p.License.LeaseIsSeat() && !r.Seated {
		r.Enrollment.Foreign = true // an enrollment key counts its devices by seats
	}
}

// needEntitlement notes in need that the holder's lease is borrowed with another entitlement, and that all slots of the
// entitlement itself are taken, unless the holder has one of them already. Nobody loses such a slot to another.
func (p *Pool) needEntitlement(need *licensing.LeaseNeed, w wish) {
	has := w.held != nil && w.held.Entitlement == w.entitlement
	if w.held != nil && w.held.Entitlement != "" && !has && w.held.borrowed(p.Now) {
		need.KeptUntil = w.held.BorrowedUntil
	}
	e, _ := p.License.Entitlement(w.entitlement)
	used := p.Entitled[w.entitlement]
	if e.Slots == 0 || used.InUse < e.Slots || has || p.GoesOn[Claim{w.Holder, w.entitlement}] {
		return
	}
	need.Entitlement, need.Entitled = w.entitlement, used
	need.Entitled.Slots = e.Slots
}

// claim counts a live lease among those who have a slot of its entitlement.
func (p *Pool) claim(l *Lease) {
	used, named := p.Entitled[l.Entitlement]
	if named && !p.GoesOn[l.claim()] {
		used.InUse++
		used.EarliestEnd = clock.Earlier(used.EarliestEnd, l.ExpiresAt)
		p.Entitled[l.Entitlement] = used
	}
}

// unclaim counts a lease that is live no longer, or is to claim something else, as a claim no more, unless its holder
// goes on by it, or by one from before.
func (p *Pool) unclaim(l *Lease) {
	used, named := p.Entitled[l.Entitlement]
	switch {
	case !named || p.GoesOn[l.claim()]:
	case l.borrowed(p.Now):
		p.GoesOn[l.claim()] = true
	default:
		used.InUse--
		p.Entitled[l.Entitlement] = used
	}
}

// lend notes what a lease lets its holder do without the server, if it is borrowed: the holder counts among the
// borrowers, and revocation lists name the license for it.
func (p *Pool) lend(l *Lease) {
	if !l.borrowed(p.Now) {
		return
	}
	p.OfflineHorizon = clock.Later(p.OfflineHorizon, l.BorrowedUntil)
	b := &p.Borrowers
	if b.By[l.Holder] {
		return
	}
	if b.By == nil {
		b.By = map[Holder]bool{}
	}
	b.By[l.Holder] = true
	b.InUse++
	b.EarliestEnd = clock.Earlier(b.EarliestEnd, l.BorrowedUntil)
}

// ended is the refusal of what somebody wants to do with a lease that is over, nil for one that is live.
func (p *Pool) ended(l *Lease) error {
	var reason = ErrExpired
	switch {
	case l.live(p.Now):
		return nil
	case l.Ending == Released:
		reason = ErrReleased
	case l.Ending == Evicted:
		reason = ErrEvicted
	}
	return &EndedError{reason: reason, SlotFree: p.judge(wish{Holder: l.Holder, entitlement: l.Entitlement}) == nil}
}

// checkBorrow refuses a time to borrow until, zero for none, that is past or too far ahead.
func (p *Pool) checkBorrow(until time.Time) error {
	most := p.License.Floating.BorrowMaxHours
	if !until.IsZero() && (!until.After(p.Now) || until.After(p.Now.Add(time.Duration(most)*time.Hour))) {
		return &BorrowError{MaxHours: most}
	}
	return nil
}

// until is when a lease that is taken or renewed now ends, and until when it is borrowed: never after the end of the
// license and its grace, or of the entitlement that it claims. asked is the time that the device names; a lease that
// was borrowed for longer before (borrowedBefore) keeps its slot, also past the end of its entitlement, because its
// token cannot be called back. The order of the cuts matters.
func (p *Pool) until(entitlement string, asked, borrowedBefore time.Time) (end, borrowed time.Time) {
	e, _ := p.License.Entitlement(entitlement)
	end = clock.Later(p.Now.Add(time.Duration(p.License.Floating.LeaseSeconds)*time.Second), asked)
	end = cut(end, e.ExpiresAt)
	borrowed = cut(asked, end)
	if borrowedBefore.After(p.Now) {
		borrowed = clock.Later(borrowed, borrowedBefore)
	}
	end = clock.Later(end, borrowed)
	end = cut(end, p.License.UsableUntil())
	return end, cut(borrowed, end)
}

// cut is t, or limit where that is sooner; a limit of zero is none. A t of zero stays zero: clock.Earlier differs.
func cut(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}
