package trace

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// scope names the spans that this package makes by itself.
const scope = "github.com/latchkey-dev/latchkey/pkg/trace"

// maxTogether bounds the spans of one Spans, so that a large batch costs a bounded amount.
const maxTogether = 64

// Recording reports whether ctx belongs to a span that is being recorded.
func Recording(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// Start begins a span below the one that ctx belongs to, which must be Recording.
func Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, o...)
}

// End ends a span, as failed when there is an error. What the error says is not recorded: it may quote what a caller
// sent.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Spans are those of one work that is done for many, one in each trace. What the work does is recorded below the first
// of them; the others link to it. The zero Spans is empty.
type Spans []trace.Span

// Join adds a span called name below that of ctx, if that is recorded.
func (all Spans) Join(ctx context.Context, name string) Spans {
	if !Recording(ctx) || len(all) >= maxTogether {
		return all
	}
	_, span := Start(ctx, name, all.link()...)
	return append(all, span)
}

// link is for every span after the first.
func (all Spans) link() []trace.SpanStartOption {
	if len(all) == 0 {
		return nil
	}
	return []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: all[0].SpanContext()})}
}

// Context is ctx for the work.
func (all Spans) Context(ctx context.Context) context.Context {
	if len(all) == 0 {
		return ctx
	}
	return trace.ContextWithSpan(ctx, all[0])
}

// End ends them all, as End does one.
func (all Spans) End(err error) {
	for _, span := range all {
		End(span, err)
	}
}
