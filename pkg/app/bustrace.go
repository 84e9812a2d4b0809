package app

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// tracedBus records how the events of requests that are recorded are published and taken in, each in the trace of its
// request.
type tracedBus struct {
	bus.Bus
	traces *trace.Recorder
}

func traceBus(r *trace.Recorder, b bus.Bus) bus.Bus {
	if r == nil {
		return b
	}
	return &tracedBus{b, r}
}

// step is what happens to a batch of events: a verb, where, and the kind of its spans.
type step struct {
	verb, destination string
	kind              oteltrace.SpanKind
}

// Publish implements bus.Publisher. Events carry the span of their publication on to their consumers.
func (b *tracedBus) Publish(ctx context.Context, events []event.Event) error {
	spans, carried := b.begin(ctx, events, step{"send", "latchkey.events", oteltrace.SpanKindProducer})
	err := b.Bus.Publish(spans.Context(ctx), carried)
	spans.End(err)
	return err
}

// Consume implements bus.Bus.
func (b *tracedBus) Consume(ctx context.Context, q bus.Queue, h bus.Handler) error {
	return b.Bus.Consume(ctx, q, func(ctx context.Context, events []event.Event) error {
		spans, _ := b.begin(ctx, events, step{"process", q.Name, oteltrace.SpanKindConsumer})
		err := h(spans.Context(ctx), events)
		spans.End(err)
		return err
	})
}

// begin begins a span for each event that is recorded. It returns the events with these as their parents.
func (b *tracedBus) begin(
	ctx context.Context, events []event.Event, s step,
) (spans trace.Spans, carried []event.Event) {
	carried = events
	for i, e := range events {
		span := b.traces.From(ctx, e.Trace, s.verb+" "+e.Type, spans, oteltrace.WithSpanKind(s.kind),
			s.describe(e, events))
		if span == nil {
			continue
		}
		if len(spans) == 0 {
			carried = append([]event.Event(nil), events...)
		}
		spans = append(spans, span)
		carried[i].Trace = trace.Parent(oteltrace.ContextWithSpan(ctx, span))
	}
	return spans, carried
}

func (s step) describe(e event.Event, events []event.Event) oteltrace.SpanStartOption {
	return oteltrace.WithAttributes(
		attribute.String("messaging.operation.type", s.verb),
		attribute.String("messaging.operation.name", s.verb),
		attribute.String("messaging.destination.name", s.destination),
		attribute.Int("messaging.batch.message_count", len(events)),
		attribute.String("messaging.message.id", e.ID),
	)
}
