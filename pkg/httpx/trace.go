package httpx

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// traced begins and ends the spans of the requests that are recorded. It stands before the middleware, whose log line
// then belongs to the span. The others pay for the decision alone.
func traced(o *Options) gin.HandlerFunc {
	return otelgin.Middleware(o.Service,
		otelgin.WithTracerProvider(o.Traces),
		otelgin.WithMeterProvider(noop.NewMeterProvider()),
		otelgin.WithPropagators(trace.Propagator{}),
		otelgin.WithFilter(o.admits),
	)
}

// admits reports whether a request is recorded.
func (o *Options) admits(r *http.Request) bool {
	switch {
	case requestFrom(r.Context()) != nil, isProbe(r.URL.Path): // the former is routed again, see routing
		return false
	case o.FollowTraces:
		return o.Traces.Follows(r.Header)
	}
	return o.Traces.Admits()
}

// parent is the context of a request with the traceparent of its caller, who decides what is recorded only where
// FollowTraces says so.
func (o *Options) parent(r *http.Request) context.Context {
	if o.Traces != nil && !o.FollowTraces {
		return trace.FromOutside(r.Context(), r.Header)
	}
	return trace.FromHeader(r.Context(), r.Header)
}

// describeSpan names the span of a request as the log and the metrics do. otelgin cannot: what it knows of a request
// that is routed again is out of date, and a method may be one that the caller made up.
func describeSpan(r *request, o outcome) {
	span := oteltrace.SpanFromContext(r.ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(o.method + " " + o.route)
	// the log has the request's id, which a caller may choose
	span.SetAttributes(attribute.String("http.route", o.route))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.code != "" {
		span.SetAttributes(attribute.String("latchkey.error_code", r.code))
	}
}
