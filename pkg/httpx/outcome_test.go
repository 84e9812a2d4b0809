package httpx

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/obs"
)

// accessLine is the log line of one request, without what differs each time.
func accessLine(t *testing.T, path string) map[string]any {
	t.Helper()
	var out bytes.Buffer
	r := newRig(t, func(o *Options) { o.Log = obs.NewLogger(&out, "debug", "json").With("service", "test") })
	r.GET("/good", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	r.GET("/bad", Wrap(func(*gin.Context) error { return apierr.ErrInternal.WithCause(io.ErrUnexpectedEOF) }))
	r.do(t, "GET", path, "", HeaderRequestID, "id-1")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", out.Bytes(), err)
	}
	if _, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil {
		t.Error(err)
	}
	if took, ok := line["duration_us"].(float64); !ok || took < 0 {
		t.Errorf("duration_us is %v", line["duration_us"])
	}
	delete(line, "time")
	delete(line, "duration_us")
	return line
}

func TestAccessLineOfEachOutcome(t *testing.T) {
	line := func(level, route string, status float64, more ...string) map[string]any {
		l := map[string]any{
			"level": level, "msg": "request", "service": "test", "method": "GET", "route": route, "status": status,
			"request_id": "id-1", "client_ip": "192.0.2.1",
		}
		for i := 0; i < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	for path, want := range map[string]map[string]any{
		"/good": line("INFO", "/good", 204),
		"/bad": line("ERROR", "/bad", 500, "error_code", "INTERNAL_ERROR", "error",
			apierr.ErrInternal.WithCause(io.ErrUnexpectedEOF).Error()),
		"/nowhere": line("INFO", "unmatched", 404, "error_code", "NOT_FOUND"),
	} {
		if diff := cmp.Diff(want, accessLine(t, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}
