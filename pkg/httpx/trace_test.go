package httpx_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

// Callers from outside have no say in what is recorded, peer services alone have; either way the caller's trace goes
// on.
func TestWhoDecidesWhatIsRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		ratio    float64
		follow   bool
		flags    string
		recorded bool
	}{
		"outside, all, asked for":       {1, false, "01", true},
		"outside, all, not asked for":   {1, false, "00", true},
		"outside, none, asked for":      {0, false, "01", false},
		"outside, none, not asked for":  {0, false, "00", false},
		"inside, as the peer says: yes": {0, true, "01", true},
		"inside, as the peer says: no":  {1, true, "00", false},
	} {
		e, spans, log := tracedEngine(tt.ratio, tt.follow)
		var handedOn string
		e.GET("/things/:id", func(c *gin.Context) { handedOn = trace.Parent(c) })
		ask(e, "GET", "/things/secret", caller+tt.flags)
		got := spans.Ended()
		if (len(got) == 1) != tt.recorded {
			t.Errorf("%s: %d spans", name, len(got))
			continue
		}
		want := caller + "00"
		if tt.recorded {
			s := got[0].SpanContext()
			want = caller[:36] + s.SpanID().String() + "-01"
			if got[0].Name() != "GET /things/:id" || got[0].Parent().SpanID().String() != caller[36:52] {
				t.Errorf("%s: %s below %s", name, got[0].Name(), got[0].Parent().SpanID())
			}
			if !strings.Contains(log.String(), `"trace_id":"`+caller[3:35]+`","span_id":"`+s.SpanID().String()) {
				t.Errorf("%s: the log says\n%s", name, log)
			}
		} else if strings.Contains(log.String(), "trace_id") {
			t.Errorf("%s: the log names a trace that is not recorded:\n%s", name, log)
		}
		if handedOn != want {
			t.Errorf("%s: handed on %q, want %q", name, handedOn, want)
		}
	}
}

// A span has the name of the route that answered at last, and nothing that the caller made up.
func TestSpansHaveBoundedNames(t *testing.T) {
	e, spans, _ := tracedEngine(1, false)
	e.GET("/things/:id", func(*gin.Context) {})
	e.GET("/healthz", func(*gin.Context) {})
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/things/a/", "GET /things/:id"}, {"HEAD", "/things/a", "HEAD /things/:id"},
		{"GET", "/secret", "GET unmatched"}, {"SECRET", "/things/a", "other unmatched"},
	} {
		before := len(spans.Ended())
		ask(e, tt.method, tt.path, "")
		if got := spans.Ended()[before:]; len(got) != 1 || got[0].Name() != tt.want {
			t.Errorf("%s %s: %d spans, the first %v", tt.method, tt.path, len(got), got)
		}
	}
	before := len(spans.Ended())
	if ask(e, "GET", "/healthz", ""); len(spans.Ended()) != before {
		t.Error("a probe was recorded")
	}
}

func tracedEngine(ratio float64, follow bool) (*gin.Engine, *tracetest.SpanRecorder, *bytes.Buffer) {
	spans, log := tracetest.NewSpanRecorder(), &bytes.Buffer{}
	r := &trace.Recorder{
		TracerProvider: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), Ratio: ratio,
	}
	return httpx.NewEngine(httpx.Options{
		Service: "test", Traces: r, FollowTraces: follow, Log: r.Logger(obs.NewLogger(log, "info", "json")),
	}), spans, log
}

func ask(h http.Handler, method, path, traceparent string) {
	req := httptest.NewRequest(method, path, nil)
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	h.ServeHTTP(httptest.NewRecorder(), req)
}
