package trace

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// recorder records everything that it admits.
func recorder(ratio float64) (*Recorder, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return &Recorder{TracerProvider: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), Ratio: ratio}, spans
}

func TestAdmitsItsRatio(t *testing.T) {
	const asked = 200_000
	for ratio, most := range map[float64]int{0: 0, 0.01: 3000, 1: asked} {
		r, admitted := Recorder{Ratio: ratio}, 0
		for range asked {
			if r.Admits() {
				admitted++
			}
		}
		if least := int(ratio * asked / 2); admitted < least || admitted > most || ratio == 1 && admitted != asked {
			t.Errorf("%v of %d requests: %d", ratio, asked, admitted)
		}
	}
}

func TestFollowsThePeer(t *testing.T) {
	var r Recorder
	for sent, want := range map[string]bool{parent: true, parent[:53] + "00": false, "": false, "nonsense-01": false} {
		if got := r.Follows(http.Header{"Traceparent": {sent}}); got != want {
			t.Errorf("%q is recorded: %v", sent, got)
		}
	}
}

func TestCallersFromOutsideDoNotDecide(t *testing.T) {
	ctx := FromOutside(t.Context(), http.Header{"Traceparent": {parent}})
	if got := Parent(ctx); got != parent[:53]+"00" {
		t.Errorf("handed on %q", got)
	}
	if ctx := FromOutside(t.Context(), http.Header{"Traceparent": {"nonsense"}}); ctx != t.Context() {
		t.Errorf("of nonsense there is %q", Parent(ctx))
	}
}

// The trace of a span goes into headers and events, and the span of an event is below it.
func TestEventsGoOnInTheTraceOfTheirRequest(t *testing.T) {
	r, spans := recorder(1)
	ctx, request := r.Tracer("").Start(t.Context(), "request")
	carried := Parent(ctx)
	event := r.From(context.Background(), carried, "send", nil)
	End(event, nil)
	if got := spans.Ended()[0]; got.Parent().SpanID() != request.SpanContext().SpanID() ||
		got.SpanContext().TraceID() != request.SpanContext().TraceID() {
		t.Errorf("%q led to %+v", carried, got.SpanContext())
	}
	for _, none := range []string{"", "nonsense", parent[:53] + "00"} {
		if span := r.From(t.Context(), none, "send", nil); span != nil {
			t.Errorf("%q is recorded", none)
		}
	}
}

// A batch has a span in each trace of those that it is for, up to a bound; the others link to the first.
func TestSpansOfABatch(t *testing.T) {
	r, spans := recorder(1)
	var all Spans
	for range maxTogether + 10 {
		ctx, _ := r.Tracer("").Start(t.Context(), "request")
		all = all.Join(t.Context(), "batch") // this caller is not recorded
		all = all.Join(ctx, "batch")
	}
	ctx := all.Context(t.Context())
	if !Recording(ctx) || trace.SpanFromContext(ctx) != all[0] {
		t.Error("the work is not below the first span")
	}
	all.End(errors.New("secret"))
	ended := spans.Ended()
	if len(ended) != maxTogether {
		t.Fatalf("%d spans", len(ended))
	}
	for i, s := range ended {
		links := slices.Collect(func(yield func(trace.SpanID) bool) {
			for _, l := range s.Links() {
				yield(l.SpanContext.SpanID())
			}
		})
		if i > 0 && !slices.Equal(links, []trace.SpanID{all[0].SpanContext().SpanID()}) || i == 0 && len(links) > 0 {
			t.Errorf("span %d links to %v", i, links)
		}
		if s.Status() != (sdk.Status{Code: codes.Error}) {
			t.Errorf("span %d ended with %+v", i, s.Status())
		}
	}
}

// What is not recorded must not pay.
func TestNoSpanCostsNoMemory(t *testing.T) {
	ctx := FromHeader(t.Context(), http.Header{"Traceparent": {parent}})
	if n := testing.AllocsPerRun(100, func() {
		var all Spans
		all.Join(ctx, "batch").Context(ctx)
		all.End(nil)
		_ = Parent(ctx)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
