// Package rpc makes calls between services: Connect over HTTP on their internal ports, with a short-lived token,
// signed by the caller alone, that says who is asking whom, a list of who may ask what, and typed failures (pkg/apierr)
// that arrive as they left. Requests of people do not become calls of procedures: a Gateway forwards them as they are,
// with who asks in the token.
//
//	client := authv1connect.NewAuthServiceClient(
//		rpc.HTTPClient(deps.HTTP), cfg.AuthURL, rpc.NewClientOptions(id, "auth")...)
//	path, handler := authv1connect.NewAuthServiceHandler(impl, rpc.Serve("auth", peers, Callers)...)
package rpc

import (
	"context"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

const (
	// maxMessage caps requests and answers, in bytes.
	maxMessage = 16 << 20
	// callTimeout is what a call may take.
	callTimeout = 5 * time.Second
	// longestCall bounds what a Gateway forwards: our servers cut off an answer then.
	longestCall = 30 * time.Second
)

// NewClientOptions makes the clients of the peer service named audience: calls carry a service token, the request id
// and the caller's trace, end after 5 s, and fail with an *apierr.Error as Error describes.
func NewClientOptions(id Identity, audience string) []connect.ClientOption {
	c := &caller{signer: newSigner(id, audience, clock.System{})}
	return []connect.ClientOption{
		connect.WithInterceptors(connect.UnaryInterceptorFunc(c.wrap)),
		connect.WithReadMaxBytes(maxMessage),
		connect.WithSendMaxBytes(maxMessage),
		connect.WithAcceptCompression("gzip", nil, nil), // within a network it costs more time than it saves
	}
}

// HTTPClient makes calls through rt; nil is a separate pooled transport, without proxies.
func HTTPClient(rt http.RoundTripper) *http.Client {
	if rt == nil {
		rt = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout: time.Second,
			MaxIdleConns:        256,
			MaxIdleConnsPerHost: 64,
			// Half a second less than a draining server waits before it closes a quiet connection (quietTime of package
			// server): what is sent on one that was free for this long arrives before that, also on a busy computer.
			IdleConnTimeout:   250 * time.Millisecond,
			ForceAttemptHTTP2: true,
		}
	}
	return &http.Client{Transport: rt, Timeout: longestCall, CheckRedirect: refuseRedirects}
}

// refuseRedirects keeps the service token from being carried to another host.
func refuseRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type caller struct{ signer *signer }

func (c *caller) wrap(next connect.UnaryFunc) connect.UnaryFunc {
	next = retried(next)
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		token, err := c.signer.token()
		if err != nil {
			return nil, Error(err)
		}
		req.Header().Set("Authorization", "Bearer "+token)
		if id := httpx.RequestID(ctx); id != "" {
			req.Header().Set(httpx.HeaderRequestID, id)
		}
		trace.ToHeader(ctx, req.Header())
		res, err := next(ctx, req)
		if err != nil {
			return nil, Error(err)
		}
		return res, nil
	}
}
