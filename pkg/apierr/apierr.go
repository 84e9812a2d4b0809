// Package apierr is the one typed failure of the suite. Rules return it, one writer per wire format shows it, and it
// survives the hop between services. Anything that is not an *Error is a defect or an outage: a 500 that leaks nothing.
package apierr

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// Kind is the class of a failure; it alone decides the HTTP status.
type Kind uint8

// The kinds. Internal is the zero value, so that an error made carelessly leaks nothing.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	Conflict
	PreconditionFailed
	TooLarge
	UnsupportedMedia
	Unprocessable
	RateLimited
	Unavailable
)

var kinds = [...]struct {
	name   string
	status int
}{
	Internal:           {"internal", http.StatusInternalServerError},
	Invalid:            {"invalid", http.StatusBadRequest},
	Unauthenticated:    {"unauthenticated", http.StatusUnauthorized},
	Forbidden:          {"forbidden", http.StatusForbidden},
	NotFound:           {"not_found", http.StatusNotFound},
	MethodNotAllowed:   {"method_not_allowed", http.StatusMethodNotAllowed},
	Conflict:           {"conflict", http.StatusConflict},
	PreconditionFailed: {"precondition_failed", http.StatusPreconditionFailed},
	TooLarge:           {"too_large", http.StatusRequestEntityTooLarge},
	UnsupportedMedia:   {"unsupported_media", http.StatusUnsupportedMediaType},
	Unprocessable:      {"unprocessable", http.StatusUnprocessableEntity},
	RateLimited:        {"rate_limited", http.StatusTooManyRequests},
	Unavailable:        {"unavailable", http.StatusServiceUnavailable},
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return kinds[k].status }

// String is the kind's name on the wire between services.
func (k Kind) String() string { return kinds[k].name }

// ParseKind is the inverse of String; an unknown name is Internal.
func ParseKind(name string) Kind {
	for k, kind := range kinds {
		if kind.name == name {
			return Kind(k)
		}
	}
	return Internal
}

// Error is safe to show to a caller, except for Err, which only logs see.
type Error struct {
	Kind Kind
	// Code is the public error_code, for example "LICENSE_EXPIRED".
	Code string
	// Message says what is wrong and what to do.
	Message string
	Details map[string]any
	// RetryAfter, when positive, tells the caller when to try again.
	RetryAfter time.Duration
	Err        error
}

// New makes an error to be kept as a sentinel beside its rule.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Error implements error; it is for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Message + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is compares codes, so that a sentinel matches its copies made by With and WithCause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// With returns a copy that carries one more detail for the caller.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Details = maps.Clone(e.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[name] = value
	return &c
}

// WithCause returns a copy that carries the cause, for the log only.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Err = cause
	return &c
}

// WithMessagef returns a copy with another message for the caller.
func (e *Error) WithMessagef(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// WithRetryAfter returns a copy that tells the caller to try again after d.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Failures that no rule owns.
var (
	ErrInternal = New(Internal, errcode.InternalError,
		"something went wrong on our side; try again, and quote the X-Request-ID when you report it")
	ErrUnavailable = New(Unavailable, errcode.ServiceUnavailable,
		"a part of the system is away for the moment; try again shortly").WithRetryAfter(2 * time.Second)
	// ErrMaintenance refuses a change in maintenance mode, which takes minutes.
	ErrMaintenance = New(Unavailable, errcode.Maintenance,
		"the service is in maintenance and takes no changes at the moment; nothing was changed, try again later").
		WithRetryAfter(time.Minute)
)

// InvalidFields is a VALIDATION_ERROR whose details.fields names each bad member and what is wrong with it.
func InvalidFields(fields map[string]string) *Error {
	return New(Invalid, errcode.ValidationError, "the request has members that are not acceptable; see details.fields").
		With("fields", fields)
}

// InvalidField is InvalidFields for a single member.
func InvalidField(name, problem string) *Error {
	return InvalidFields(map[string]string{name: problem})
}

// From returns err as an *Error: itself where it is one, ErrInternal with err as the cause otherwise. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrInternal.WithCause(err)
}
