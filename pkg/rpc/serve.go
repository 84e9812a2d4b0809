package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// Callers says which services may ask what: names by procedure, for example
// "/latchkey.auth.v1.AuthService/ListPublicKeys". Nobody may ask a procedure that is not in it. That of each service is
// in its internal/rpc/rpc.go.
type Callers map[string][]string

// Serve makes the handlers of the service named audience. They take calls with a token of one of peers that callers let
// ask the procedure, before a message is read, and send failures so that the caller's Error finds them again.
func Serve(audience string, peers Peers, callers Callers) []connect.HandlerOption {
	g := gate{newVerifier(audience, peers, clock.System{}), callers}
	return []connect.HandlerOption{
		connect.WithRequestGate(g.admit),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(answer)),
		connect.WithReadMaxBytes(maxMessage),
		connect.WithSendMaxBytes(maxMessage),
		connect.WithCompression("gzip", nil, nil),
	}
}

type gate struct {
	tokens  *verifier
	callers Callers
}

func (g gate) admit(ctx context.Context, spec connect.Spec, _ connect.Peer, h http.Header) (context.Context, error) {
	claims, err := g.tokens.verify(h["Authorization"])
	if err == nil && claims.Actor != nil {
		err = errors.New("a token in the name of a person asks for management, not for a procedure")
	}
	if isTyped(err) {
		return nil, toWire(ctx, err)
	}
	if err != nil {
		httpx.Report(ctx, fmt.Errorf("service token: %w", err))
		return nil, connect.NewError(connect.CodeUnauthenticated, err)
	}
	if !slices.Contains(g.callers[spec.Procedure], claims.Issuer) {
		err := fmt.Errorf("%s may not ask %s", claims.Issuer, spec.Procedure)
		httpx.Report(ctx, err)
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	return ctx, nil
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
				res, err = nil, toWire(ctx, apierr.ErrInternal.WithCause(
					fmt.Errorf("panic in %s", req.Spec().Procedure)))
			}
		}()
		res, err = next(ctx, req)
		if err != nil {
			return nil, toWire(ctx, err)
		}
		return res, nil
	}
}
