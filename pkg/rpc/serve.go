package rpc

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Serve makes the handlers of the service named audience: they take calls with a token signed by any of secrets (the current
// one and the previous one), before a message is read, and send failures so that the caller's Error finds them again.
func Serve(audience string, secrets []secret.Secret) []connect.HandlerOption {
	v := newVerifier(audience, secrets, clock.System{})
	return []connect.HandlerOption{
		connect.WithRequestGate(v.gate),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(answer)),
		connect.WithReadMaxBytes(maxMessage),
		connect.WithSendMaxBytes(maxMessage),
		connect.WithCompression("gzip", nil, nil),
	}
}

type callerKey struct{}

// Caller is the name of the service whose call ctx belongs to, "" outside of a call.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

func (v *verifier) gate(ctx context.Context, _ connect.Spec, _ connect.Peer, h http.Header) (context.Context, error) {
	name, err := v.verify(h["Authorization"])
	if err != nil {
		httpx.Report(ctx, fmt.Errorf("service token: %w", err))
		return nil, connect.NewError(connect.CodeUnauthenticated, err)
	}
	return context.WithValue(ctx, callerKey{}, name), nil
}

// answer carries failures, panics among them, onto the wire.
func answer(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				panic(p)
			}
			if p != nil {
				httpx.Report(ctx, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				res, err = nil, toWire(ctx, apierr.ErrInternal.Because(fmt.Errorf("panic in %s", req.Spec().Procedure)))
			}
		}()
		res, err = next(ctx, req)
		if err != nil {
			return nil, toWire(ctx, err)
		}
		return res, nil
	}
}
