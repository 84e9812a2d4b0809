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

// accessLine is the line of one request, by a log that has its lines prepared or does not.
func accessLine(t *testing.T, prepared bool, path string) map[string]any {
	t.Helper()
	var out bytes.Buffer
	buf := obs.NewBuffer(&out)
	var w io.Writer = &out
	if prepared {
		w = buf
	}
	r := newRig(t, func(o *Options) { o.Log = obs.NewLogger(w, "debug", "json").With("service", "test") })
	r.GET("/good", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	r.GET("/bad", Wrap(func(*gin.Context) error { return apierr.ErrInternal.WithCause(io.ErrUnexpectedEOF) }))
	r.do(t, "GET", path, "", headerRequestID, "id-1")
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
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

func TestPreparedLinesTellTheSame(t *testing.T) {
	for _, path := range []string{"/good", "/bad", "/nowhere"} {
		if diff := cmp.Diff(accessLine(t, false, path), accessLine(t, true, path)); diff != "" {
			t.Errorf("%s (-by slog +prepared):\n%s", path, diff)
		}
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "service": "test", "method": "GET", "route": "/good", "status": 204.0,
		"request_id": "id-1", "client_ip": "192.0.2.1",
	}
	if diff := cmp.Diff(want, accessLine(t, true, "/good")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
