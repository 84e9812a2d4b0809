package lease

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why a lease cannot be had, renewed or given back, beside the verdicts of package licensing.
var (
	ErrNotFound = apierr.New(apierr.NotFound, errcode.LeaseNotFound,
		"the license has no such lease, or it ended long ago; take another")
	ErrExpired = apierr.New(apierr.Conflict, errcode.LeaseExpired,
		"the lease has expired, because it was not renewed in time; take another")
	ErrReleased = apierr.New(apierr.Conflict, errcode.LeaseReleased, "the lease was given back; take another")
	ErrEvicted  = apierr.New(apierr.Conflict, errcode.LeaseEvicted,
		"the lease was ended because another device needed its slot; take another")
)

// errUnrecognized sends a device away from the lock to be recognized: the license may know it by another hardware id.
var errUnrecognized = errors.New("the device has not been recognized yet")

// errBorrow names the member because it alone is wrong.
var errBorrow = apierr.InvalidField("borrow_until",
	"must be in the future, and no further ahead than the license's borrow_max_hours")

// EndedError refuses the renewal or release of a lease that is over.
type EndedError struct {
	reason *apierr.Error
	// SlotFree reports whether the device could take another lease now.
	SlotFree bool
}

// Error implements error; it is for logs.
func (e *EndedError) Error() string { return e.reason.Error() }

// Unwrap gives errors.Is and errors.As the reason.
func (e *EndedError) Unwrap() error { return e.reason }

// BorrowError refuses a time to borrow a lease until that the license, which allows MaxHours, does not allow.
type BorrowError struct{ MaxHours int }

// Error implements error; it is for logs.
func (e *BorrowError) Error() string { return errBorrow.Error() }

// Unwrap gives errors.Is and errors.As the reason.
func (e *BorrowError) Unwrap() error { return errBorrow }
