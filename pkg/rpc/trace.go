package rpc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Traced records calls, of a client or of a handler, that are made for a request which is recorded. As an option after
// those of NewClientOptions it records each try of a call; as one before those of Serve it sees errors as they are
// sent.
func Traced(r *trace.Recorder) connect.Option {
	i, err := otelconnect.NewInterceptor(
		otelconnect.WithTracerProvider(r),
		otelconnect.WithoutMetrics(),
		otelconnect.WithPropagator(trace.Propagator{}),
		otelconnect.WithFilter(func(ctx context.Context, _ connect.Spec) bool { return trace.Recording(ctx) }),
	)
	if err != nil {
		panic("rpc: " + err.Error()) // of options, which stand above
	}
	return connect.WithInterceptors(i)
}

// TracedClient records the requests that a client makes for one which is recorded.
func TracedClient(client *http.Client, r *trace.Recorder) *http.Client {
	recorded := *client
	recorded.Transport = otelhttp.NewTransport(client.Transport,
		otelhttp.WithTracerProvider(r),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(trace.Propagator{}),
		otelhttp.WithFilter(func(r *http.Request) bool { return trace.Recording(r.Context()) }),
	)
	return &recorded
}
