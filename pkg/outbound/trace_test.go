package outbound

import (
	"net/http"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A call for a request that is recorded has a span, and the server hears nothing of it.
func TestCallsAreRecorded(t *testing.T) {
	var heard http.Header
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { heard = r.Header })
	spans := tracetest.NewSpanRecorder()
	ctx, _ := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("").Start(t.Context(), "request")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/secret?secret", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, Policy{Private: true}, nil, s).Do(req); err != nil {
		t.Fatal(err)
	}
	got := spans.Ended()
	want := []attribute.KeyValue{
		attribute.String("http.request.method", "POST"), attribute.String("server.address", "127.0.0.1"),
	}
	if len(got) != 1 || got[0].Name() != "POST" || !slices.Equal(got[0].Attributes(), want) {
		t.Errorf("%d spans: %+v", len(got), got)
	}
	if heard.Get("Traceparent") != "" {
		t.Errorf("the server heard %q", heard.Get("Traceparent"))
	}
}
