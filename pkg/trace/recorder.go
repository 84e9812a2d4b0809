package trace

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Recorder records the spans of one service. It decides at the door which requests are recorded; everything else
// follows that decision. A nil *Recorder records nothing.
type Recorder struct {
	trace.TracerProvider
	// Ratio is the part of the requests from outside that is recorded, from 0 to 1.
	Ratio  float64
	Counts Counts
}

// Counts are the spans that were recorded, by what became of them.
type Counts struct{ Exported, Failed, Dropped atomic.Uint64 }

// Admits reports whether a request from outside is recorded. It is a matter of chance: neither the flag that the caller
// sent nor the trace that it named has a say, so that no stranger can have everything recorded.
func (r *Recorder) Admits() bool { return rand.Float64() < r.Ratio }

// Follows reports whether a request of a peer service is recorded, as the peer's own is.
func (r *Recorder) Follows(h http.Header) bool { return parse(sent(h)).IsSampled() }

// From begins a span, in the trace that parent names, for work on an event. It returns nil when the trace is not
// recorded.
func (r *Recorder) From(
	ctx context.Context, parent, name string, all Spans, o ...trace.SpanStartOption,
) trace.Span {
	caller := parse(parent)
	if !caller.IsSampled() || len(all) >= maxTogether {
		return nil
	}
	_, span := r.Tracer(scope).Start(trace.ContextWithRemoteSpanContext(ctx, caller), name, append(o, all.link()...)...)
	return span
}

// Propagator reads the trace of a request that was admitted, and hands on that of a span. The trace of the caller goes
// on, so that both find each other; other headers, such as tracestate and baggage, are left alone.
type Propagator struct{}

var _ propagation.TextMapPropagator = Propagator{}

// Extract implements propagation.TextMapPropagator.
func (Propagator) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	caller := parse(c.Get(header))
	if !caller.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, caller.WithTraceFlags(trace.FlagsSampled))
}

// Inject implements propagation.TextMapPropagator.
func (Propagator) Inject(ctx context.Context, c propagation.TextMapCarrier) {
	if parent := Parent(ctx); parent != "" {
		c.Set(header, parent)
	}
}

// Fields implements propagation.TextMapPropagator.
func (Propagator) Fields() []string { return []string{header} }

// Logger is log with the trace and the span on each line that belongs to one that is recorded.
func (r *Recorder) Logger(log *slog.Logger) *slog.Logger {
	if r == nil {
		return log
	}
	return slog.New(logHandler{log.Handler()})
}

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		line = line.Clone()
		line.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
