package wire

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Wrap is httpx.Wrap for a handler that returns refusals of the rules.
func Wrap(handle func(*gin.Context) error) gin.HandlerFunc {
	return httpx.Wrap(func(c *gin.Context) error { return Refusal(handle(c)) })
}

// Refusal is err with the facts of a refusal as details. Other errors, and nil, stay as they are.
func Refusal(err error) error {
	if err == nil {
		return nil // before the targets below are allocated, which every good answer would pay for
	}
	var (
		verdict *licensing.RefusedError
		device  *licensing.DeviceError
		offline *licensing.OfflineError
		hours   *licensing.OfflineHoursError
		version *licensing.VersionError
		void    *licensing.TokenError
		ended   *lease.EndedError
		borrow  *lease.BorrowError
		group   *licensing.GroupError
	)
	switch {
	case errors.As(err, &verdict):
		return verdictOf(apierr.From(err), verdict)
	case errors.As(err, &device):
		return apierr.From(err).With("hardware_id", device.HardwareID)
	case errors.As(err, &offline):
		return apierr.From(err).With("offline_token_expires_at", offline.Until)
	case errors.As(err, &hours):
		return apierr.From(err).With("max_offline_hours", hours.Max)
	case errors.As(err, &version):
		return apierr.From(err).With("version", version.Version)
	case errors.As(err, &void):
		return tokenRefusal(apierr.From(err), void.Cause)
	case errors.As(err, &ended):
		return apierr.From(err).With("slot_free", ended.SlotFree)
	case errors.As(err, &borrow):
		return apierr.From(err).With("borrow_max_hours", borrow.MaxHours)
	case errors.As(err, &group):
		return withGroup(apierr.From(err), &group.Group)
	}
	return err
}

// withGroup tells of the limits of a group.
func withGroup(e *apierr.Error, g *licensing.Group) *apierr.Error {
	return e.With("group_id", g.ID).With("current_devices", g.CurrentDevices).
		With("max_devices", CountOrNull(g.MaxDevices, licensing.Unlimited)).
		With("current_licenses", g.CurrentLicenses).
		With("max_licenses", CountOrNull(g.MaxLicenses, licensing.Unlimited))
}

func verdictOf(e *apierr.Error, v *licensing.RefusedError) *apierr.Error {
	switch e.Code {
	case errcode.LicenseNotFound:
		return e
	case errcode.DeviceLimitExceeded:
		return e.With("limits", NewLimits(v.License.Limits()))
	case errcode.UserDeviceLimitExceeded:
		e = e.With("max_devices", v.User.MaxDevices).With("current_devices", v.User.Devices)
	case errcode.GroupLimitExceeded:
		e = withGroup(e, v.Group)
	case errcode.OfflineTokenActive:
		e = e.With("offline_token_expires_at", v.OfflineUntil())
	case errcode.LicenseSuspended:
		// Without the reason, which may be about a person: this goes to every device.
		e = e.With("suspended_until", httpx.TimeOrNull(v.License.Suspension.Until))
	case errcode.LeaseLimitExceeded:
		e = slotsTaken(e, v.Lease)
	case errcode.LicenseNotStarted:
		e = e.With("starts_at", v.License.StartsAt)
	case errcode.VersionNotCovered:
		e = e.With("rule", v.VersionRule())
		if rules := v.License.ProductRules; rules != nil && rules.MinVersion != "" {
			e = e.With("min_version", rules.MinVersion)
		}
		if end := v.License.MaintenanceUntil; !end.IsZero() {
			e = e.With("maintenance_until", end)
		}
	case errcode.LicenseExpired:
		e = e.With("expires_at", v.License.ExpiresAt).With("is_trial", v.License.IsTrial)
	case errcode.EnvironmentForbidden:
		e = e.With("rule", v.Around.Broken(v.License))
	case errcode.TooManyNewDevices:
		e = e.With("retry_at", v.Newcomers.RetryAt)
	case errcode.TransferLimit:
		e = e.With("transfer_limit", v.License.Devices.TransferLimit)
	case errcode.AlreadyActivated:
		e = e.With("device_id", v.Device.ID).With("hardware_id", v.Device.HardwareID).
			With("device_name", httpx.TextOrNull(v.Device.Name)).With("activated_at", v.Device.ActivatedAt)
	case errcode.EntitlementMissing, errcode.EntitlementExpired:
		e = lacking(e, v)
	case errcode.ConsumptionLimitExceeded:
		e = full(e, v.Full())
	}
	return e.With("license_id", v.License.ID)
}

func slotsTaken(e *apierr.Error, need *licensing.LeaseNeed) *apierr.Error {
	if need.Entitlement != "" {
		e = e.With("entitlement", need.Entitlement)
	}
	taken := need.Taken()
	return e.With("slots", taken.Slots).With("in_use", taken.InUse).
		With("earliest_end", httpx.TimeOrNull(taken.EarliestEnd))
}

func lacking(e *apierr.Error, v *licensing.RefusedError) *apierr.Error {
	code, _, _ := v.Lacking()
	if e = e.With("entitlement", code); e.Code == errcode.EntitlementExpired {
		ended, _ := v.License.Entitlement(code)
		e = e.With("expires_at", ended.ExpiresAt)
	}
	return e
}

func full(e *apierr.Error, n *licensing.CounterNeed) *apierr.Error {
	return e.With("counter", n.Terms.Name).With("amount", n.Amount).With("used", n.Used).
		With("limit", n.Terms.Limit).With("overage", n.Terms.Overage).With("resets_at", httpx.TimeOrNull(n.ResetsAt))
}

// tokenRefusal is why a token whose signature is good was refused.
func tokenRefusal(e, cause *apierr.Error) *apierr.Error {
	if cause == nil {
		return e.With("reason", "revoked")
	}
	return token.RefusedWith(cause).WithCause(e)
}
