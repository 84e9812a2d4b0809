package otlp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// way is an exporter before another, with what it logged.
func way(next sdk.SpanExporter) (*exporter, *bytes.Buffer) {
	var log bytes.Buffer
	return &exporter{
		next: next, counts: &trace.Counts{}, log: slog.New(slog.NewTextHandler(&log, nil)),
		said: rate.Sometimes{Interval: complainEvery},
	}, &log
}

// broken takes no spans.
type broken struct{ *tracetest.NoopExporter }

func (broken) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return errors.New("no route") }

func TestOnlyWhatMayBeToldIsSent(t *testing.T) {
	sent := tracetest.NewInMemoryExporter()
	e, _ := way(sent)
	p := newProvider(e, 10, resource.Empty())
	_, span := p.Tracer("").Start(t.Context(), "GET /a", oteltrace.WithAttributes(
		attribute.String("http.route", "/a"), attribute.String("url.path", "secret"),
		attribute.String("server.address", "secret"), attribute.String("db.query.text", strings.Repeat("x", 2000)),
	))
	span.RecordError(errors.New("secret"))
	span.SetStatus(codes.Error, "secret")
	span.End()
	_, call := p.Tracer("").Start(t.Context(), "GET", oteltrace.WithSpanKind(oteltrace.SpanKindClient),
		oteltrace.WithAttributes(attribute.String("server.address", "auth")))
	call.End()
	if err := p.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := sent.GetSpans()
	if len(got) != 2 || len(got[0].Events) != 0 || got[0].Status != (sdk.Status{Code: codes.Error}) {
		t.Fatalf("sent: %+v", got)
	}
	if a := got[0].Attributes; len(a) != 2 || a[0].Value.AsString() != "/a" || len(a[1].Value.AsString()) != maxValue {
		t.Errorf("sent with the attributes %v", a)
	}
	if a := got[1].Attributes; len(a) != 1 || a[0].Value.AsString() != "auth" {
		t.Errorf("a call was sent with the attributes %v", a)
	}
}

// Each span that ended is counted once: as sent, as failed, or as dropped because too many waited.
func TestSpansAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		next                      sdk.SpanExporter
		exported, failed, dropped uint64
	}{
		"all is well":           {tracetest.NewInMemoryExporter(), 3, 0, 4},
		"the collector is away": {broken{tracetest.NewNoopExporter()}, 0, 3, 4},
	} {
		e, log := way(tt.next)
		p := newProvider(e, 3, resource.Empty())
		e.waiting.Add(3) // three wait: the next four find no room
		for range 4 {
			_, span := p.Tracer("").Start(t.Context(), "a")
			span.End()
		}
		e.waiting.Add(-3)
		for range 3 {
			_, span := p.Tracer("").Start(t.Context(), "a")
			span.End()
		}
		if err := p.ForceFlush(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c := e.counts
		if c.Exported.Load() != tt.exported || c.Failed.Load() != tt.failed || c.Dropped.Load() != tt.dropped ||
			e.waiting.Load() != 0 {
			t.Errorf("%s: exported %d, failed %d, dropped %d, waiting %d", name, c.Exported.Load(), c.Failed.Load(),
				c.Dropped.Load(), e.waiting.Load())
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "too many spans") {
			t.Errorf("%s: %d lines in the log:\n%s", name, lines, log)
		}
	}
}
