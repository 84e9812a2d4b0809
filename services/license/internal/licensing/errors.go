package licensing

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why a license cannot be used or changed. Most come as one of the types below, which errors.Is finds them
// in; the types carry the facts, and who speaks to the client shows them in the form that it expects.
var (
	ErrNotFound = apierr.New(apierr.NotFound, errcode.LicenseNotFound,
		"no license has this key or id; check it for typos")
	ErrEnrollmentKeyInvalid = apierr.New(apierr.Forbidden, errcode.EnrollmentKeyInvalid,
		"the enrollment key has expired or has no seat left, or the device enrolled with another key; use the license "+
			"key or ask the vendor for another enrollment key")
	ErrEnrollmentKeyNotFound = apierr.New(apierr.NotFound, errcode.NotFound,
		"the license has no enrollment key with this id; list its enrollment keys")
	ErrInactive = apierr.New(apierr.Forbidden, errcode.LicenseInactive,
		"the license is deactivated; its vendor can reactivate it")
	ErrSuspended = apierr.New(apierr.Forbidden, errcode.LicenseSuspended,
		"the license is suspended; wait for the end of the suspension or ask its vendor to reinstate the license")
	ErrNotStarted = apierr.New(apierr.Forbidden, errcode.LicenseNotStarted,
		"the license has not started; wait for its start or ask its vendor")
	ErrProductInactive = apierr.New(apierr.Forbidden, errcode.ProductInactive,
		"the product of the license is switched off; ask its vendor")
	ErrVersionNotCovered = apierr.New(apierr.Forbidden, errcode.VersionNotCovered,
		"this version of the application came out after the maintenance of the license ended; install an older one, "+
			"or renew the maintenance")
	ErrExpired   = apierr.New(apierr.Forbidden, errcode.LicenseExpired, "the license has expired; renew it to go on")
	ErrPerpetual = apierr.New(apierr.Conflict, errcode.LicensePerpetual,
		"the license has no end to extend; set one by PATCH with expires_at or expires_in_days")
	ErrNotTrial = apierr.New(apierr.Conflict, errcode.LicenseNotTrial,
		"the license is not a trial; change its terms by PATCH, or renew it")
	ErrLimit = apierr.New(apierr.Forbidden, errcode.DeviceLimitExceeded,
		"all seats of the license are taken; deactivate a device or raise max_devices")
	ErrGroupLimit = apierr.New(apierr.Forbidden, errcode.GroupLimitExceeded,
		"all seats of the group of the license are taken; deactivate a device of the group or raise its max_devices")
	ErrCredentials = apierr.New(apierr.Unauthenticated, errcode.InvalidCredentials,
		"this call needs a signed-in user; sign in again and send the user_token")
	ErrUserLocked = apierr.New(apierr.Forbidden, errcode.UserLocked,
		"the user is locked; ask the vendor of the license")
	ErrNotAssigned = apierr.New(apierr.Forbidden, errcode.UserNotAssigned,
		"the license is not assigned to the user; ask the vendor of the license")
	ErrUserLimit = apierr.New(apierr.Forbidden, errcode.UserDeviceLimitExceeded,
		"the user has taken as many seats as the vendor allows; deactivate another device first")
	ErrOtherUser = apierr.New(apierr.Forbidden, errcode.DeviceOfAnotherUser,
		"another user has activated the license on this device; have that user or an administrator deactivate it there")
	ErrActivated = apierr.New(apierr.Conflict, errcode.AlreadyActivated,
		"the license is already activated on this device; nothing needs to be done")
	ErrNotActivated = apierr.New(apierr.Forbidden, errcode.DeviceNotActivated,
		"the license is not activated on this device; activate it first")
	ErrEntitlementMissing = apierr.New(apierr.Forbidden, errcode.EntitlementMissing,
		"the license does not include this entitlement; ask its vendor to add it")
	ErrEntitlementExpired = apierr.New(apierr.Forbidden, errcode.EntitlementExpired,
		"this entitlement of the license has expired; ask its vendor to renew it")
	ErrConsumption = apierr.New(apierr.Forbidden, errcode.ConsumptionLimitExceeded,
		"the counter has no room for this amount; wait for its reset or ask the vendor for a higher limit")
	ErrEntitlementNotFound = apierr.New(apierr.NotFound, errcode.EntitlementNotFound,
		"the license has no entitlement with this code; see its entitlements")
	ErrCounterNotFound = apierr.New(apierr.NotFound, errcode.CounterNotFound,
		"the license has no counter of this name; see its counters")
	ErrCounterInUse = apierr.New(apierr.Conflict, errcode.CounterInUse,
		"an entitlement of the license names this counter; change the entitlement first")
	ErrBlocked = apierr.New(apierr.Forbidden, errcode.DeviceBlocked,
		"the device, its network or one of its components is blocked; ask the vendor of the license, who has the "+
			"reason")
	ErrEnvironment = apierr.New(apierr.Forbidden, errcode.EnvironmentForbidden,
		"the license is not for use from this network or country, or in a virtual machine; use it elsewhere or ask "+
			"its vendor")
	ErrTooManyNew = apierr.New(apierr.Forbidden, errcode.TooManyNewDevices,
		"too many new devices have taken seats recently; try again later or ask the vendor of the "+
			"license")
	ErrTransfers = apierr.New(apierr.Forbidden, errcode.TransferLimit,
		"the license allows no more transfers of seats to other devices; the vendor of the license can reset its "+
			"transfers")
	ErrUnknownHardwareID = apierr.New(apierr.NotFound, errcode.DeviceNotFound,
		"no device with this hardware_id is activated on the license")
	ErrUnknownDeviceID = apierr.New(apierr.NotFound, errcode.DeviceNotFound,
		"the license has no device with this device_id; the list of its devices shows them")
	ErrHardwareIDNotUnique = apierr.New(apierr.Invalid, errcode.HardwareIDNotUnique,
		"this hardware_id is a placeholder that many computers report, and devices would share a seat; send "+
			"an id of the installation instead (/etc/machine-id on Linux, MachineGuid in "+
			"HKLM\\SOFTWARE\\Microsoft\\Cryptography on Windows, IOPlatformUUID on macOS) or a random one that "+
			"the application makes once and keeps")
	ErrOfflineTokenActive = apierr.New(apierr.Conflict, errcode.OfflineTokenActive,
		"the device may still run without the server, by an offline token, a license file or a delegated key; it can "+
			"leave its seat when that has ended, or an administrator can deactivate it")
	ErrOfflineNotAllowed = apierr.New(apierr.Forbidden, errcode.OfflineNotAllowed,
		"the license does not allow offline activation; its vendor can allow it by offline_activation")
	ErrKeyExists = apierr.New(apierr.Conflict, errcode.LicenseKeyExists,
		"another license has this license_key; choose another or leave it out to have one made")
	ErrVersionMismatch = apierr.New(apierr.PreconditionFailed, errcode.VersionMismatch,
		"the license has changed since it was read; read it again and repeat the change")
	ErrNotFloating = apierr.New(apierr.Forbidden, errcode.FloatingNotAllowed,
		"the license has no floating leases; activate the device instead, or ask its vendor")
	ErrNotBorrowable = apierr.New(apierr.Forbidden, errcode.BorrowingNotAllowed,
		"leases of the license cannot be borrowed; leave out borrow_until and renew the lease in time")
	ErrLeaseLimit = apierr.New(apierr.Forbidden, errcode.LeaseLimitExceeded,
		"all slots of the license are taken; wait until one is given back or ends")
	ErrToken = apierr.New(apierr.Unauthenticated, errcode.InvalidToken, "the token is not valid; obtain a new one")
)

// errVersionTooOld is ErrVersionNotCovered for the min_version of the product.
var errVersionTooOld = ErrVersionNotCovered.WithMessagef(
	"this version of the application is older than the vendor admits; update the application")

// errNotLeased is ErrNotActivated where a lease is as good as a seat.
var errNotLeased = ErrNotActivated.WithMessagef("the device has no lease of the license; take one first")

// errEntitlementSlots is ErrLeaseLimit for the slots of an entitlement.
var errEntitlementSlots = ErrLeaseLimit.WithMessagef(
	"all slots of this entitlement are taken; a borrowed lease keeps its slot until its end, even if it is given " +
		"back early; wait until details.earliest_end, or ask the vendor to end one")

// errEntitlementKept is ErrOfflineTokenActive for a lease that is to claim another entitlement than before.
var errEntitlementKept = ErrOfflineTokenActive.WithMessagef(
	"the lease is borrowed with another entitlement, which the device can use offline until " +
		"details.offline_token_expires_at; take a lease for this entitlement under another session_id, or give the " +
		"borrowed one back first")

// errTargetSeated is ErrActivated for a transfer.
var errTargetSeated = ErrActivated.WithMessagef(
	"to_hardware_id has a seat of its own on this license, so nothing was moved; " +
		"to free the other seat, deactivate from_hardware_id")

// errDeviceIDMismatch is ErrUnknownDeviceID for a device that names itself.
var errDeviceIDMismatch = ErrUnknownDeviceID.WithMessagef(
	"this device_id is not that of the device with this hardware_id; send the one that its activation answered")

// errOfflineElsewhere is ErrOfflineTokenActive for a device that got something under another hardware id.
var errOfflineElsewhere = ErrOfflineTokenActive.WithMessagef(
	"the device may still run without the server under another hardware_id, and a seat serves one machine at a time; " +
		"ask again when that has ended, or have an administrator deactivate the device")

// errBorrowers is ErrLeaseLimit for a lease that is to be borrowed.
var errBorrowers = ErrLeaseLimit.WithMessagef(
	"all slots are borrowed: a borrowed lease counts until its end, even if it is given back early, and each session " +
		"of a device counts by itself; take a lease without borrow_until, wait until details.earliest_end, or ask " +
		"the vendor to end one")

// errNothingToRenew is ErrPerpetual for a license whose time does not run yet.
var errNothingToRenew = ErrPerpetual.WithMessagef(
	"the time of the license begins to run with its first activation, so it has no end " +
		"that could move; change duration_days or duration_months by PATCH, or sell a trial by convert")

// errTooManyOfPolicy is ErrTooMany where a policy selects the licenses.
var errTooManyOfPolicy = apierr.InvalidField("policy",
	"more than 10000 licenses have it; send change-policy to /licenses/bulk with filters that divide them, for "+
		"example by created_before and created_after")

// errOfflineHours names the member because it is the only one of the call.
var errOfflineHours = apierr.InvalidField("duration_hours", "must be from 1 to the license's max_offline_hours")

// refusal is what the types of refusals have in common: the reason, of which errors.Is and errors.As know.
type refusal struct{ reason *apierr.Error }

// Error implements error; it is for logs.
func (r refusal) Error() string { return r.reason.Error() }

// Unwrap gives errors.Is and errors.As the reason.
func (r refusal) Unwrap() error { return r.reason }

// RefusedError is a verdict against a request, which has the facts: the license with its limits, and the device. They
// must not be changed.
type RefusedError struct {
	refusal
	Request
}

// DeviceError refuses a hardware id, with ErrUnknownHardwareID or ErrHardwareIDNotUnique.
type DeviceError struct {
	refusal
	HardwareID string
}

// OfflineError is ErrOfflineTokenActive: the device holds an offline token that ends at Until.
type OfflineError struct {
	refusal
	Until time.Time
}

// OfflineHoursError refuses the life of an offline token that is longer than Max hours, which the license allows.
type OfflineHoursError struct {
	refusal
	Max int
}

// VersionError is ErrVersionMismatch: the license has this version.
type VersionError struct {
	refusal
	Version int
}

// TokenError is ErrToken for a token whose signature is good. Cause is the verdict against its license or device; nil
// means that the token itself was revoked.
type TokenError struct {
	refusal
	Cause *apierr.Error
}

// RevokedToken is the refusal of a token that was revoked.
func RevokedToken() error { return &TokenError{refusal: refusal{ErrToken}} }
