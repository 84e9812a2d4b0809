package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	maxRetries = 3
	// retryPause bounds the first pause, which is random; each further one may be twice as long.
	retryPause = 25 * time.Millisecond
)

// retried carries out a call again when the peer service could not be reached, for example because one of its replicas
// has just ended: on another connection, within the deadline of the call. A call that may have arrived is repeated only
// if its procedure is marked idempotent in the contract (option idempotency_level).
func retried(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		for try := 0; ; try++ {
			res, err := next(ctx, req)
			if err == nil || !worthRetrying(req.Spec(), err) || !tryAgain(ctx, try) {
				return res, err
			}
		}
	}
}

// tryAgain waits after the failure of a try, counted from 0, and reports whether another may follow.
func tryAgain(ctx context.Context, try int) bool {
	return try < maxRetries && clock.Sleep(ctx, rand.N(retryPause<<try)) == nil
}

// worthRetrying tells failures of the way from answers of the peer service, which carry details.
func worthRetrying(spec connect.Spec, err error) bool {
	var (
		wire *connect.Error
		way  *url.Error // connect has codes of its own for these
	)
	if !errors.As(err, &wire) || len(wire.Details()) > 0 ||
		wire.Code() != connect.CodeUnavailable && !errors.As(err, &way) {
		return false
	}
	return spec.IdempotencyLevel != connect.IdempotencyUnknown || neverSent(err)
}

// neverSent reports whether there was no connection to send the call on.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
