package otlp

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// exporter sends the attributes of spans that are on its list, and counts.
type exporter struct {
	next    sdk.SpanExporter
	counts  *trace.Counts
	log     *slog.Logger
	said    rate.Sometimes
	waiting atomic.Int64 // spans that have ended, and were neither sent nor lost yet
}

// complainEvery is how often the log says that spans are lost; a metric counts them.
const complainEvery = 10 * time.Minute

// ExportSpans implements sdk.SpanExporter. A failure is the end of the spans: the caller could do nothing but say so.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	told := make([]sdk.ReadOnlySpan, len(spans))
	for i, span := range spans {
		told[i] = tellable{span}
	}
	err := e.next.ExportSpans(ctx, told)
	e.waiting.Add(-int64(len(spans)))
	if err != nil {
		e.counts.Failed.Add(uint64(len(spans)))
		e.complain(err)
		return nil
	}
	e.counts.Exported.Add(uint64(len(spans)))
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

func (e *exporter) complain(err error) {
	e.said.Do(func() {
		e.log.Warn("traces could not be sent; latchkey_trace_spans_total counts those that are lost", "error", err)
	})
}

var errFull = errors.New("too many spans wait until the collector takes them")

// bounded drops, and counts, spans that find no room. It stands before a processor with as much room, which therefore
// never drops any by itself.
type bounded struct {
	sdk.SpanProcessor
	way  *exporter
	most int64
}

// OnEnd implements sdk.SpanProcessor.
func (b *bounded) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.way.waiting.Add(1) > b.most {
		b.way.waiting.Add(-1)
		b.way.counts.Dropped.Add(1)
		b.way.complain(errFull)
		return
	}
	b.SpanProcessor.OnEnd(s)
}
