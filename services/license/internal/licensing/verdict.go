package licensing

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Operation is what shall be done with a license. Checks name several at once.
type Operation uint8

// OperationAny asks only what every operation asks.
const OperationAny Operation = 0

// The operations.
const (
	// OperationUse is what a device with a seat does: validations, heartbeats, tokens.
	OperationUse Operation = 1 << iota
	// OperationActivate gives a device a seat.
	OperationActivate
	// OperationLease gives a device a slot, or renews its lease.
	OperationLease
	// OperationFile gives a device with a seat a license file.
	OperationFile

	operationsOfDevices = OperationUse | OperationActivate | OperationLease | OperationFile
)

// Request is what a verdict is about.
type Request struct {
	Operation Operation
	// License is nil where none has the key or id that was given.
	License *License
	// Seated tells that the device has a seat on the license, for anyone who calls.
	Seated bool
	// OfSeat tells of what only a device with a seat can have, so that no lease is as good.
	OfSeat bool
	// Device is the device as it is stored, nil where it was never seen on the license or was not loaded.
	Device *Device
	// Lease is what a lease needs, nil for other operations.
	Lease *LeaseNeed
	// Needs is nil for a call that asks for no entitlement and no counter.
	Needs *Needs
	// Around is nil where nothing of the surroundings is asked.
	Around *Surroundings
	// Group is the group of the license, nil for none and where no seat is asked for.
	Group *Group
	// User is nil for a call of nobody who has signed in.
	User *User
	// Holder and Trusted are as in Client.
	Holder, Trusted bool
	// Foreign tells that another user has taken the seat of the device; Seated is false then.
	Foreign bool
	// Newcomers are nil where they are not counted.
	Newcomers *Newcomers
	// AppVersion is the version of the application, empty where it does not say it.
	AppVersion string
	// ReleasedAt is when that version came out, zero where nobody said.
	ReleasedAt time.Time
	// Enrollment is nil for a call that came by no enrollment key.
	Enrollment *Enrollment
	// HardwareID is what the device is called, empty where nothing is asked of it.
	HardwareID string
	// ElsewhereUntil is until when the device may run without the server under another hardware id; zero for not.
	ElsewhereUntil time.Time
	Now            time.Time
}

// Status is what a license is at a time. It is computed, never stored.
type Status string

// The statuses; each license has exactly one.
const (
	StatusActive     Status = "active"   // usable
	StatusInGrace    Status = "in_grace" // expired and still usable
	StatusNotStarted Status = "not_started"
	StatusExpired    Status = "expired"
	StatusSuspended  Status = "suspended"
	StatusInactive   Status = "inactive"
)

// check is one condition of a verdict.
type check struct {
	name string
	// refusal has the code, and as its message the reason and, after a semicolon, the remedy.
	refusal *apierr.Error
	// of is the operations that ask it, OperationAny for all.
	of Operation
	// status is that of a license which does not pass, empty where the check is about a device.
	status Status
	passes func(Request) bool
	// facts are what was found, and what it was measured by: JSON values of the public API, nil for none. It is not
	// asked where there is no license.
	facts func(Request) (observed, limit any)
}

// The names of checks that ask for the address of the caller.
const (
	checkBlocks      = "not_blocked"
	checkEnvironment = "environment_allowed"
)

// leaseIsSeat tells that a live lease is as good as a seat for what is asked.
func (r Request) leaseIsSeat() bool { return !r.OfSeat && r.License.LeaseIsSeat() }

// checks decide what may be done with a license, in their order: the first that does not pass refuses. They are the
// only place that decides; SQL that repeats a part of them (store/conditions.go) is tested against them.
var checks = [...]check{
	{
		name: "known", refusal: ErrNotFound,
		passes: func(r Request) bool { return r.License != nil },
		facts:  func(r Request) (any, any) { return r.License.ID, nil },
	},
	{
		name: "hardware_id_unique", refusal: ErrHardwareIDNotUnique,
		of:     OperationActivate | OperationLease | OperationFile,
		passes: hasOwnID,
		facts:  func(r Request) (any, any) { return r.HardwareID, nil },
	},
	{
		name: "enrollment_key", refusal: ErrEnrollmentKeyInvalid,
		passes: func(r Request) bool { return r.Enrollment.admits(r) },
		facts:  func(r Request) (any, any) { return r.Enrollment.facts() },
	},
	{
		name: "active", refusal: ErrInactive, status: StatusInactive,
		passes: func(r Request) bool { return r.License.IsActive },
		facts:  func(r Request) (any, any) { return r.License.IsActive, true },
	},
	{
		name: "not_suspended", refusal: ErrSuspended, status: StatusSuspended,
		passes: func(r Request) bool { return !r.License.Suspension.holds(r.Now) },
		facts: func(r Request) (any, any) {
			if s := r.License.Suspension; s != nil {
				return timeValue(s.At), timeValue(s.Until)
			}
			return nil, nil
		},
	},
	{
		name: "product_active", refusal: ErrProductInactive,
		passes: func(r Request) bool { return !r.License.productRules().Inactive },
		facts:  func(r Request) (any, any) { return !r.License.productRules().Inactive, true },
	},
	{
		name: "started", refusal: ErrNotStarted, status: StatusNotStarted,
		passes: func(r Request) bool { return !r.Now.Before(r.License.StartsAt) },
		facts:  func(r Request) (any, any) { return timeValue(r.Now), timeValue(r.License.StartsAt) },
	},
	{
		// A license ends at the instant of its end, not after it. One in grace passes: UsableUntil (terms.go) is
		// ExpiresAt and GraceHours.
		name: "not_expired", refusal: ErrExpired, status: StatusExpired,
		passes: func(r Request) bool {
			end := r.License.UsableUntil()
			return end.IsZero() || r.Now.Before(end)
		},
		facts: func(r Request) (any, any) { return timeValue(r.Now), timeValue(r.License.UsableUntil()) },
	},
	{
		name: "offline_allowed", refusal: ErrOfflineNotAllowed, of: OperationFile,
		passes: func(r Request) bool { return r.License.OfflineActivation },
		facts:  func(r Request) (any, any) { return r.License.OfflineActivation, true },
	},
	{
		name: "offline_once", refusal: errOfflineElsewhere, of: OperationFile,
		passes: func(r Request) bool { return r.ElsewhereUntil.IsZero() },
		facts:  func(r Request) (any, any) { return timeValue(r.Now), timeValue(r.ElsewhereUntil) },
	},
	{
		name: "version_new_enough", refusal: errVersionTooOld,
		passes: versionNewEnough,
		facts:  newEnoughFacts,
	},
	{
		name: "version_covered", refusal: ErrVersionNotCovered,
		passes: versionMaintained,
		facts:  maintainedFacts,
	},
	{
		name: "user_signed_in", refusal: ErrCredentials, of: operationsOfDevices,
		passes: signedIn,
		facts:  func(r Request) (any, any) { return userID(r), nil },
	},
	{
		name: "user_not_locked", refusal: ErrUserLocked, of: operationsOfDevices,
		passes: userNotLocked,
		facts:  func(r Request) (any, any) { return userID(r), nil },
	},
	{
		name: "user_assigned", refusal: ErrNotAssigned, of: operationsOfDevices,
		passes: userAssigned,
		facts:  func(r Request) (any, any) { return userID(r), nil },
	},
	{
		name: checkBlocks, refusal: ErrBlocked,
		passes: func(r Request) bool { return r.Around == nil || r.Around.Block == nil },
		facts: func(r Request) (any, any) {
			if r.Around == nil || r.Around.Block == nil {
				return nil, nil
			}
			return r.Around.Block.ID, nil
		},
	},
	{
		name: checkEnvironment, refusal: ErrEnvironment,
		passes: func(r Request) bool { return r.Around.Broken(r.License) == "" },
		facts:  func(r Request) (any, any) { return r.Around.facts(r.License) },
	},
	{
		name: "device_own", refusal: ErrOtherUser, of: OperationActivate | OperationFile,
		passes: func(r Request) bool { return !r.Foreign },
		facts:  func(r Request) (any, any) { return !r.Foreign, true },
	},
	{
		name: "not_activated", refusal: ErrActivated, of: OperationActivate,
		passes: func(r Request) bool { return !r.Seated },
		facts:  seated,
	},
	{
		name: "seat_free", refusal: ErrLimit, of: OperationActivate,
		passes: func(r Request) bool { return r.License.CurrentDevices < r.License.MaxDevices },
		facts: func(r Request) (any, any) {
			return r.License.CurrentDevices, countValue(r.License.MaxDevices, Unlimited)
		},
	},
	{
		name: "group_seat_free", refusal: ErrGroupLimit, of: OperationActivate,
		passes: func(r Request) bool { return r.Group.seatFree() },
		facts:  func(r Request) (any, any) { return r.Group.seats() },
	},
	{
		name: "user_seat_free", refusal: ErrUserLimit, of: OperationActivate,
		passes: userSeatFree,
		facts:  userSeats,
	},
	{
		name: "new_devices", refusal: ErrTooManyNew, of: OperationActivate,
		passes: func(r Request) bool { return !r.Newcomers.full() },
		facts: func(r Request) (any, any) {
			if r.Newcomers == nil {
				return nil, r.License.rules().NewDevices
			}
			return r.Newcomers.Count, r.License.rules().NewDevices
		},
	},
	{
		name: "transfers_left", refusal: ErrTransfers, of: OperationActivate,
		passes: func(r Request) bool { return !r.License.isTransfer(r.Device) || r.License.transfersLeft() },
		facts:  func(r Request) (any, any) { return r.License.TransfersUsed, r.License.rules().TransferLimit },
	},
	{
		name: "floating", refusal: ErrNotFloating, of: OperationLease,
		passes: func(r Request) bool { return r.License.Floating != nil },
		facts:  func(r Request) (any, any) { return r.License.floatingView(), nil },
	},
	{
		name: "borrowing_allowed", refusal: ErrNotBorrowable, of: OperationLease,
		passes: func(r Request) bool { return !r.Lease.borrows() || r.License.borrowMaxHours() > 0 },
		facts:  func(r Request) (any, any) { return r.Lease.borrows(), r.License.borrowMaxHours() },
	},
	{
		name: "activated", refusal: ErrNotActivated, of: OperationUse | OperationLease,
		passes: func(r Request) bool { return r.Seated || r.leaseIsSeat() },
		facts:  seated,
	},
	{
		// A device asks for a lease without one.
		name: "leased_or_activated", refusal: errNotLeased, of: OperationUse,
		passes: func(r Request) bool { return r.Seated || !r.leaseIsSeat() },
		facts:  seated,
	},
	{
		name: "entitlement_granted", refusal: ErrEntitlementMissing, of: OperationUse | OperationLease,
		passes: func(r Request) bool { return !r.lacks(ErrEntitlementMissing) },
		facts:  neededEntitlements,
	},
	{
		name: "entitlement_not_expired", refusal: ErrEntitlementExpired, of: OperationUse | OperationLease,
		passes: func(r Request) bool { return !r.lacks(ErrEntitlementExpired) },
		facts:  neededEntitlements,
	},
	{
		name: "counter_has_room", refusal: ErrConsumption, of: OperationUse,
		passes: func(r Request) bool { return r.Full() == nil },
		facts:  neededCounters,
	},
	{
		name: "entitlement_kept", refusal: errEntitlementKept, of: OperationLease,
		passes: func(r Request) bool { return r.Lease.entitlementKept() },
		facts: func(r Request) (any, any) {
			if r.Lease.entitlementKept() {
				return nil, nil
			}
			return timeValue(r.Now), timeValue(r.Lease.KeptUntil)
		},
	},
	{
		name: "entitlement_slot_free", refusal: errEntitlementSlots, of: OperationLease,
		passes: func(r Request) bool { return !r.Lease.entitlementFull() },
		facts:  func(r Request) (any, any) { return r.Lease.entitlementFacts() },
	},
	{
		name: "slot_free", refusal: ErrLeaseLimit, of: OperationLease,
		passes: func(r Request) bool { return r.Lease.slotFree() },
		facts:  func(r Request) (any, any) { return r.Lease.facts() },
	},
	{
		name: "borrowing_free", refusal: errBorrowers, of: OperationLease,
		passes: Request.borrowable,
		facts: func(r Request) (any, any) {
			if !r.Lease.borrows() || r.License.Floating == nil {
				return nil, nil
			}
			return r.Lease.Borrowers.InUse, r.License.Floating.Slots
		},
	},
}

// hasOwnID reports whether a device that would be new to the license has its own id.
func hasOwnID(r Request) bool {
	newDevice := r.Operation&OperationLease == 0 || r.License.LeaseIsSeat()
	return r.Device != nil || !newDevice || r.HardwareID == "" || !isPlaceholder(r.HardwareID)
}

func seated(r Request) (observed, limit any) { return r.Seated, nil }

// asks reports whether the check is one of an operation.
func (c *check) asks(o Operation) bool { return c.of == OperationAny || c.of&o != 0 }

// OfflineUntil is until when what the device was given before, and goes on by without the server, keeps it from what it
// asks for; zero for not.
func (r Request) OfflineUntil() time.Time {
	if r.Lease != nil {
		return r.Lease.KeptUntil
	}
	return r.ElsewhereUntil
}

// failed is the first check that r does not pass, nil if it passes all.
func (r Request) failed() *check {
	for i := range checks {
		c := &checks[i]
		if c.asks(r.Operation) && !c.passes(r) {
			return c
		}
	}
	return nil
}

// Decide is the verdict on r: nil, or a *RefusedError.
func Decide(r Request) error {
	if c := r.failed(); c != nil {
		return &RefusedError{refusal{c.refusal}, r}
	}
	return nil
}

// Check reports whether the license may be used now, by whatever device: nil, or a *RefusedError.
func (l *License) Check(now time.Time) error {
	return Decide(Request{License: l, Now: now})
}

// Status is what the license is at a time.
func (l *License) Status(now time.Time) Status {
	r := Request{License: l, Now: now}
	for i := range checks {
		if c := &checks[i]; c.status != "" && !c.passes(r) {
			return c.status
		}
	}
	return l.usableStatus(now)
}

// usableStatus is the status of a license that passes the checks.
func (l *License) usableStatus(now time.Time) Status {
	if !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt) {
		return StatusInGrace
	}
	return StatusActive
}
