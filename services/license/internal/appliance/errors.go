package appliance

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotLicensed refuses local licenses on an installation that is not licensed itself.
var ErrNotLicensed = apierr.New(apierr.Forbidden, errcode.ApplianceNotLicensed,
	"this installation is not licensed, so it serves no licenses; its operator has to license it")

var (
	errRefused = apierr.New(apierr.Invalid, errcode.UpstreamRefused,
		"the upstream does not license this installation")
	errNoAnswer = apierr.New(apierr.Unavailable, errcode.UpstreamUnavailable,
		"the upstream did not answer; check url and proxy, and try again").WithRetryAfter(5 * time.Second)
	errNotTrusted = apierr.New(apierr.Invalid, errcode.UpstreamNotTrusted,
		"the upstream does not prove that it is an issuer that LATCHKEY_EDGE_ROOTS names: its answer is not "+
			"signed for this machine and license by one of these; check url, or whether it is too old to sign")
	errChanged = apierr.ErrUnavailable.WithMessagef(
		"the license of this installation is being changed by somebody else; look at it, and try again")
)

// RefusedError is the refusal of an upstream.
type RefusedError struct {
	// Code is one of docs/errors.md.
	Code    string
	Message string
	// ExpiresAt is when what was refused for its end has ended; zero where the upstream does not say.
	ExpiresAt time.Time
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the upstream refused: %s: %s", e.Code, e.Message)
}

// NoAnswerError says why an upstream gave no answer.
type NoAnswerError struct {
	// Reason is one word for programs, Text a sentence without its full stop; neither has a secret.
	Reason, Text string
	Err          error
}

// Error implements error.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("the upstream gave no answer: %s: %v", e.Text, e.Err)
}

// Unwrap implements errors.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// full reports whether the license, its group or its user has no seat left.
func (e *RefusedError) full() bool {
	switch e.Code {
	case errcode.DeviceLimitExceeded, errcode.GroupLimitExceeded, errcode.UserDeviceLimitExceeded:
		return true
	}
	return false
}

// explained is a failure of the upstream as the owner sees it. Errors of the request itself stay as they are.
func explained(err error) error {
	var refused *RefusedError
	var silent *NoAnswerError
	var own *apierr.Error
	switch {
	case errors.As(err, &refused):
		return errRefused.With("upstream_code", refused.Code).
			WithMessagef("the upstream does not license this installation: %s (%s)", refused.Message, refused.Code)
	case errors.As(err, &silent):
		return errNoAnswer.With("reason", silent.Reason).WithCause(err).
			WithMessagef("the upstream gave no answer: %s; check url and proxy, and try again", silent.Text)
	case errors.As(err, &own):
		return err
	}
	return errNoAnswer.WithCause(err)
}
