package counter

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// The reasons why nothing is counted, beside the verdicts on the license.
var (
	// errUnknown is licensing.ErrCounterNotFound for a name in a body.
	errUnknown = apierr.New(apierr.Invalid, errcode.CounterNotFound,
		"the license has no counter of this name; check it for typos or ask the vendor to add it")
	errNoEntitlementCounter = apierr.New(apierr.Invalid, errcode.CounterNotFound,
		"this entitlement names no counter, so it cannot be consumed; name a counter instead")
	errNoOperation = apierr.New(apierr.NotFound, errcode.OperationNotFound,
		"no operation of this device in the last 24 hours has this operation_id, so nothing of it was counted; there "+
			"is nothing to give back")
	errReportSignature = apierr.New(apierr.Unauthenticated, errcode.InvalidSignature,
		"the usage report is not signed by the key that this device sent with its last request for a license file; "+
			"ask for a file with device_public_key first")
	errReportReused = apierr.New(apierr.Unprocessable, errcode.IdempotencyKeyReused,
		"this report_id was already used for another report; use a new one for a new report")
	errTooManyReports = apierr.New(apierr.RateLimited, errcode.RateLimitExceeded,
		"this device has sent too many usage reports within 400 days; report longer times at once")
	ErrReused = apierr.New(apierr.Unprocessable, errcode.IdempotencyKeyReused,
		"this operation_id was already used for another request; use a new one for a new operation")
)

// unknownCounter is errUnknown, with the counter of the license that may be meant.
func unknownCounter(l *licensing.License, name string) error {
	names := make([]string, len(l.Counters))
	for i := range l.Counters {
		names[i] = l.Counters[i].Name
	}
	if near := nearest.Name(name, names); near != "" {
		return errUnknown.With("counter", name).
			WithMessagef("the license has no counter of this name; did you mean %s?", near)
	}
	return errUnknown.With("counter", name)
}
