// Package otlp sends the spans of a service to a collector, by OTLP over HTTP or gRPC, as the standard OTEL_ variables
// of OpenTelemetry say. Nothing is recorded where they name no destination. A collector that is away costs spans, which
// are counted, and nothing else.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// closeTimeout bounds how long a program waits at its end for the last spans to be sent.
const closeTimeout = 3 * time.Second

// maxValue bounds the text of an attribute, in bytes, where the environment does not: some statements are long.
const maxValue = 1000

// Open makes the recorder of a service, nil where traces are off. What it recorded last is sent by end, which takes no
// longer than three seconds. The environment must have passed Check.
func Open(ctx context.Context, service string, log *slog.Logger) (r *trace.Recorder, end func(), err error) {
	s, err := load(os.Environ())
	if err != nil || !s.on {
		return nil, func() {}, err
	}
	client, err := newClient(ctx, s.protocol)
	if err != nil {
		return nil, nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	described, err := describe(ctx, service)
	if err != nil {
		return nil, nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	r = &trace.Recorder{Ratio: s.ratio}
	way := &exporter{next: client, counts: &r.Counts, log: log, said: rate.Sometimes{Interval: complainEvery}}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(way.complain)) // of the process; every service has the same to say
	provider := newProvider(way, s.queue, described)
	r.TracerProvider = provider
	return r, func() { shutDown(ctx, provider, log) }, nil
}

func newClient(ctx context.Context, protocol string) (sdk.SpanExporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// newProvider records what was admitted, and what follows from that.
func newProvider(way *exporter, queue int, described *resource.Resource) *sdk.TracerProvider {
	limits := sdk.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxValue
	}
	return sdk.NewTracerProvider(
		sdk.WithResource(described),
		sdk.WithRawSpanLimits(limits),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())),
		sdk.WithSpanProcessor(&bounded{
			SpanProcessor: sdk.NewBatchSpanProcessor(way, sdk.WithMaxQueueSize(queue)), way: way, most: int64(queue),
		}),
	)
}

// describe says which program this is. What the environment says wins.
func describe(ctx context.Context, service string) (*resource.Resource, error) {
	return resource.New(ctx, resource.WithAttributes(
		attribute.String("service.namespace", "latchkey"),
		attribute.String("service.name", "latchkey-"+service),
		attribute.String("service.version", obs.ReadBuild().Version),
		attribute.String("service.instance.id", uuid.NewString()),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
}

func shutDown(ctx context.Context, provider *sdk.TracerProvider, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		log.WarnContext(ctx, "the last traces were not sent", "error", err)
	}
}
