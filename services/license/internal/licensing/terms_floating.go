package licensing

import (
	"fmt"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Bounds and defaults of floating terms.
const (
	DefaultLeaseSeconds = 900

	maxSlots          = 100_000
	minLeaseSeconds   = 10
	maxLeaseSeconds   = 86_400
	maxBorrowHours    = 8760
	shortLeaseSeconds = 1 // in development
)

// Overflow is what happens to a device that wants a lease when all slots are taken.
type Overflow string

// The ways to deal with an overflow.
const (
	OverflowRefuse      Overflow = "refuse"
	OverflowEvictOldest Overflow = "evict_oldest" // the lease that was longest unseen ends, never a borrowed one
)

// LeaseActivation says whether a device needs a seat for a lease.
type LeaseActivation string

// With LeaseActivationNone a live lease counts as a seat.
const (
	LeaseActivationRequired LeaseActivation = "required"
	LeaseActivationNone     LeaseActivation = "none"
)

// FloatingTerms let devices share slots by leases. Stored and shown in the audit log as JSON.
type FloatingTerms struct {
	Slots int `json:"slots"`
	// LeaseSeconds is how long a lease holds its slot unless it is renewed.
	LeaseSeconds int      `json:"lease_seconds"`
	Overflow     Overflow `json:"overflow"`
	// BorrowMaxHours is how far ahead a lease may be borrowed, 0 for not at all.
	BorrowMaxHours int             `json:"borrow_max_hours"`
	Activation     LeaseActivation `json:"activation"`
}

// DefaultFloatingTerms are those of which nothing is said but the number of slots.
func DefaultFloatingTerms(slots int) FloatingTerms {
	return FloatingTerms{
		Slots:        slots,
		LeaseSeconds: DefaultLeaseSeconds,
		Overflow:     OverflowRefuse,
		Activation:   LeaseActivationRequired,
	}
}

// LeaseIsSeat tells that a device with a live lease acts as if it had a seat. Users always need the seat: it is what
// their limits count, and what they lose with the license.
func (l *License) LeaseIsSeat() bool {
	return l.Floating != nil && l.Floating.Activation == LeaseActivationNone && !l.productRules().ByUser
}

func (t *Terms) applyFloating(c *TermsChange) {
	if c.Floating.Present {
		t.Floating = nil
	}
	if c.Floating.given() {
		t.Floating = &c.Floating.Value
	}
}

func (t *Terms) borrowMaxHours() int {
	if t.Floating == nil {
		return 0
	}
	return t.Floating.BorrowMaxHours
}

// floatingProblems notes what is wrong with the floating terms that are given.
func (c *TermsChange) floatingProblems(p map[string]string) {
	if !c.Floating.given() {
		return
	}
	least := minLeaseSeconds
	if c.ShortLeases {
		least = shortLeaseSeconds
	}
	f := c.Floating.Value
	within := func(name string, n, least, most int) {
		if n < least || n > most {
			p["floating."+name] = fmt.Sprintf("must be from %d to %d", least, most)
		}
	}
	within("slots", f.Slots, 1, maxSlots)
	within("lease_seconds", f.LeaseSeconds, least, maxLeaseSeconds)
	within("borrow_max_hours", f.BorrowMaxHours, 0, maxBorrowHours)
	if f.Overflow != OverflowRefuse && f.Overflow != OverflowEvictOldest {
		p["floating.overflow"] = fmt.Sprintf("must be %q or %q", OverflowRefuse, OverflowEvictOldest)
	}
	if f.Activation != LeaseActivationRequired && f.Activation != LeaseActivationNone {
		p["floating.activation"] = fmt.Sprintf("must be %q or %q", LeaseActivationRequired, LeaseActivationNone)
	}
}

// floatingView is what the audit log shows of the floating terms.
func (t *Terms) floatingView() any {
	f := t.Floating
	if f == nil {
		return nil
	}
	return map[string]any{
		"slots": f.Slots, "lease_seconds": f.LeaseSeconds, "overflow": string(f.Overflow),
		"borrow_max_hours": f.BorrowMaxHours, "activation": string(f.Activation),
	}
}

func (f *FloatingTerms) event() *eventsv1.FloatingTerms {
	if f == nil {
		return nil
	}
	return &eventsv1.FloatingTerms{
		Slots:          int32(f.Slots),
		LeaseSeconds:   int32(f.LeaseSeconds),
		Overflow:       string(f.Overflow),
		BorrowMaxHours: int32(f.BorrowMaxHours),
		Activation:     string(f.Activation),
	}
}

// LeaseNeed is what a verdict on a lease looks at beside the license.
type LeaseNeed struct {
	// Borrows tells that the device wants to do without renewals for a time.
	Borrows bool
	// Held tells that the device has the lease already: it needs no other slot.
	Held bool
	// SlotUse is that of the slots of the license.
	SlotUse
	// Evicts tells that another lease may lose its slot to the device.
	Evicts bool
	// Borrowers are the devices, each of their sessions by itself, whose borrowed leases go on without the server,
	// those that were given back before their ends included; BorrowsOn tells that the device is one of them. Both are
	// known where it borrows.
	Borrowers SlotUse
	BorrowsOn bool
	// KeptUntil is until when the lease that the device has keeps another entitlement than the one that is asked for,
	// because it is borrowed with that; zero for not.
	KeptUntil time.Time
	// Entitlement has slots of its own, of which the lease needs one, and all are taken; empty for none. Entitled is
	// their use.
	Entitlement string
	Entitled    SlotUse
}

// SlotUse is how many slots there are, how many are taken, and when the first is free again, unless renewed.
type SlotUse struct {
	Slots, InUse int
	EarliestEnd  time.Time
}

// Taken are the slots of which none is free for the lease.
func (n *LeaseNeed) Taken() SlotUse {
	switch {
	case n.Entitlement != "":
		return n.Entitled
	case n.slotFree():
		return n.Borrowers
	}
	return n.SlotUse
}

// The following take the nil of a call that knows of no lease, as when the verdict is only explained.

func (n *LeaseNeed) borrows() bool { return n != nil && n.Borrows }

// slotFree holds for a lease that has, or would find, a slot.
func (n *LeaseNeed) slotFree() bool { return n == nil || n.Held || n.Evicts || n.InUse < n.Slots }

// borrowable holds for a lease that makes no more borrowers than the license has slots.
func (r Request) borrowable() bool {
	return !r.Lease.borrows() || r.Lease.BorrowsOn || r.License.Floating == nil ||
		r.Lease.Borrowers.InUse < r.License.Floating.Slots
}

func (n *LeaseNeed) facts() (inUse, slots any) {
	if n == nil {
		return nil, nil
	}
	return n.InUse, n.Slots
}

// entitlementKept holds for a lease that need not go on claiming another entitlement.
func (n *LeaseNeed) entitlementKept() bool { return n == nil || n.KeptUntil.IsZero() }

func (n *LeaseNeed) entitlementFull() bool { return n != nil && n.Entitlement != "" }

func (n *LeaseNeed) entitlementFacts() (inUse, slots any) {
	if !n.entitlementFull() {
		return nil, nil
	}
	return n.Entitled.InUse, n.Entitled.Slots
}
