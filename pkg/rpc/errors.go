package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

var wireCodes = map[apierr.Kind]connect.Code{
	apierr.Internal:           connect.CodeInternal,
	apierr.Invalid:            connect.CodeInvalidArgument,
	apierr.Unauthenticated:    connect.CodeUnauthenticated,
	apierr.Forbidden:          connect.CodePermissionDenied,
	apierr.NotFound:           connect.CodeNotFound,
	apierr.MethodNotAllowed:   connect.CodeUnimplemented,
	apierr.Conflict:           connect.CodeAlreadyExists,
	apierr.PreconditionFailed: connect.CodeFailedPrecondition,
	apierr.TooLarge:           connect.CodeResourceExhausted,
	apierr.UnsupportedMedia:   connect.CodeInvalidArgument,
	apierr.Unprocessable:      connect.CodeInvalidArgument,
	apierr.RateLimited:        connect.CodeResourceExhausted,
	apierr.Unavailable:        connect.CodeUnavailable,
}

// toWire is the Connect error of a handler's failure. The cause of a failure of ours travels as its message, so that
// the service at the front can log it: between services that is no leak.
func toWire(ctx context.Context, err error) error {
	e := httpx.Typed(err)
	cause := errors.New(e.Message)
	if e.Kind.Status() >= http.StatusInternalServerError {
		httpx.Report(ctx, err)
		cause = err
	}
	wire := connect.NewError(wireCodes[e.Kind], cause)
	if detail, err := connect.NewErrorDetail(infoOf(e)); err == nil {
		wire.AddDetail(detail)
	}
	return wire
}

// infoOf is the public part of e in the contract's form.
func infoOf(e *apierr.Error) *rpcv1.ErrorInfo {
	info := &rpcv1.ErrorInfo{
		Kind:              e.Kind.String(),
		Code:              e.Code,
		Message:           e.Message,
		RetryAfterSeconds: int32(math.Ceil(e.RetryAfter.Seconds())),
	}
	if len(e.Details) > 0 {
		info.DetailsJson, _ = json.Marshal(e.Details) // details that JSON cannot show are left out
	}
	return info
}

// fromInfo is the inverse of infoOf.
func fromInfo(info *rpcv1.ErrorInfo) *apierr.Error {
	e := apierr.New(apierr.ParseKind(info.GetKind()), info.GetCode(), info.GetMessage())
	e.RetryAfter = time.Duration(info.GetRetryAfterSeconds()) * time.Second
	if len(info.GetDetailsJson()) > 0 {
		d := json.NewDecoder(bytes.NewReader(info.GetDetailsJson()))
		d.UseNumber() // keeps large counts exact
		_ = d.Decode(&e.Details)
	}
	return e
}

// Error is the *apierr.Error behind a failed call. A peer service's typed failure is itself again, kind and code; a
// peer service that cannot be reached, takes too long, or has another time is apierr.ErrUnavailable; everything else, a
// service token that is refused for another reason among it, is a fault between us and not the user's:
// apierr.ErrInternal. Clients made with NewClientOptions have applied it already.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return httpx.Typed(err)
	}
	for _, d := range wire.Details() {
		if v, err := d.Value(); err == nil {
			if info, ok := v.(*rpcv1.ErrorInfo); ok {
				return fromWire(info, wire)
			}
		}
	}
	switch wire.Code() {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled:
		return apierr.ErrUnavailable.WithCause(err)
	}
	return apierr.ErrInternal.WithCause(err)
}

func fromWire(info *rpcv1.ErrorInfo, wire *connect.Error) error {
	e := fromInfo(info)
	if e.Kind.Status() >= http.StatusInternalServerError {
		e.Err = wire
	}
	return e
}
