// Package lease holds the rules of floating licenses: how devices share slots by leases, which end by themselves unless
// they are renewed. Whether one is free is the row slot_free of licensing/verdict.go. Who holds a slot is judged by the
// clock of the database, because those of processes differ.
package lease

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Lease is a slot of a license that a device holds, or held.
type Lease struct {
	// ID is a UUID.
	ID        string
	LicenseID string
	Holder
	DeviceName string
	// Entitlement is the code of the entitlement that the lease claims as well, empty for none.
	Entitlement string
	LeasedAt    time.Time
	// LastSeenAt is when the device last took or renewed the lease.
	LastSeenAt time.Time
	// ExpiresAt is when the slot is free again unless the lease is renewed.
	ExpiresAt time.Time
	// BorrowedUntil is until when the device may do without renewals, zero for a lease that is not borrowed.
	BorrowedUntil time.Time
	// EndedAt and Ending record how a lease ended. NoteExpired records them some time after a lease has expired;
	// whether it holds its slot is told by live.
	EndedAt time.Time
	Ending  Ending
}

// Holder is who has a lease: a device, and on it a session, which may be empty. It holds one lease of a license at a
// time.
type Holder struct{ HardwareID, SessionID string }

// Claim is a holder's to a slot of an entitlement.
type Claim struct {
	Holder
	Entitlement string
}

// Ending is how a lease ended.
type Ending string

// The endings of leases.
const (
	Released Ending = "released" // given back by its device or an administrator, or with the device's seat
	Expired  Ending = "expired"
	Evicted  Ending = "evicted" // its slot went to another device
)

// Slots are how many leases a license has, and how many of them are taken.
type Slots struct{ Total, InUse int }

// Leases are the use cases of leases.
type Leases struct {
	Seats    *licensing.Seats
	Store    Store
	Tokens   *Tokens
	denials  denials
	networks networks
	// noted is the latest time that NoteExpired knew of, by the clock of the database; zero: it has yet to run. granted
	// is when this process last granted a lease since, in Unix microseconds.
	noted   time.Time
	granted atomic.Int64
}

// live reports whether the lease holds its slot.
func (l *Lease) live(now time.Time) bool { return l.Ending == "" && now.Before(l.ExpiresAt) }

// borrowed reports whether the device may still do without renewals.
func (l *Lease) borrowed(now time.Time) bool { return now.Before(l.BorrowedUntil) }

// claim is the holder's by the lease.
func (l *Lease) claim() Claim { return Claim{l.Holder, l.Entitlement} }

// end records how a lease ended, and that it did so at its ExpiresAt at the latest.
func (l *Lease) end(how Ending, at time.Time) {
	l.Ending, l.EndedAt = how, at
	if l.ExpiresAt.Before(at) {
		l.EndedAt = l.ExpiresAt
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
