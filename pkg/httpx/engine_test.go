package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// rig is an engine with its log.
type rig struct {
	*gin.Engine
	log bytes.Buffer
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := &rig{}
	o := Options{Service: "test", Log: obs.NewLogger(&r.log, "debug", "json"), Metrics: obs.NewMetrics("test")}
	if change != nil {
		change(&o)
	}
	r.Engine = NewEngine(o)
	return r
}

func (r *rig) do(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		req = httptest.NewRequest(method, path, nil)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// lines are the log lines so far.
func (r *rig) lines(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(r.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

// wantError checks the documented shape.
func wantError(t *testing.T, w *httptest.ResponseRecorder, status int, code string) map[string]any {
	t.Helper()
	var body struct {
		Error     string         `json:"error"`
		ErrorCode string         `json:"error_code"`
		Details   map[string]any `json:"details"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
	if w.Code != status || body.ErrorCode != code || body.Error == "" || body.Details == nil {
		t.Fatalf("got %d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if got := w.Header().Get("Content-Type"); got != JSONType {
		t.Errorf("Content-Type is %q", got)
	}
	return body.Details
}

func ok(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"ok": true}) }

func TestUnknownPathsAndMethods(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/things", ok)
	r.PATCH("/things", ok)
	wantError(t, r.do(t, "GET", "/nothing", ""), 404, "NOT_FOUND")
	wantError(t, r.do(t, "GET", "/Things", ""), 404, "NOT_FOUND")
	w := r.do(t, "POST", "/things", "")
	wantError(t, w, 405, "METHOD_NOT_ALLOWED")
	if allow := w.Header().Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "PATCH") {
		t.Errorf("Allow is %q", allow)
	}
	for _, line := range r.lines(t) {
		if line["route"] != "unmatched" {
			t.Errorf("route is %v", line["route"])
		}
	}
}

// A fixed path is not taken for a path with a parameter by the methods that only that one has.
func TestFixedPathsComeFirst(t *testing.T) {
	r := newRig(t, nil)
	r.POST("/things/import", ok)
	r.GET("/things/:id", ok)
	r.DELETE("/things/:id", ok)
	r.GET("/things/:id/parts/list", ok)
	r.PATCH("/things/:id/parts/:part", ok)
	for _, method := range []string{"GET", "DELETE", "PUT", "HEAD", "BREW"} {
		w := r.do(t, method, "/things/import", "")
		wantError(t, w, 405, "METHOD_NOT_ALLOWED")
		if allow := w.Header()["Allow"]; len(allow) != 1 || allow[0] != "POST" {
			t.Errorf("%s: Allow is %q", method, allow)
		}
	}
	w := r.do(t, "PATCH", "/things/1/parts/list", "")
	wantError(t, w, 405, "METHOD_NOT_ALLOWED")
	if allow := w.Header().Get("Allow"); allow != "GET" {
		t.Errorf("Allow is %q", allow)
	}
	for path, method := range map[string]string{
		"/things/import":        "POST",
		"/things/imports":       "GET",
		"/things/1":             "DELETE",
		"/things/1/parts/list":  "HEAD",
		"/things/1/parts/other": "PATCH",
	} {
		if w := r.do(t, method, path, ""); w.Code != 200 {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
}

func TestPanicIsA500ThatLeaksNothing(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/boom", func(*gin.Context) { panic("the secret plan") })
	w := r.do(t, "GET", "/boom", "", "X-Request-ID", "abc")
	wantError(t, w, 500, "INTERNAL_ERROR")
	if strings.Contains(w.Body.String(), "plan") {
		t.Errorf("the answer tells %s", w.Body)
	}
	line := r.lines(t)[0]
	text, _ := line["error"].(string)
	if !strings.Contains(text, "the secret plan") || !strings.Contains(text, "engine_test.go") ||
		line["level"] != "ERROR" || line["request_id"] != "abc" {
		t.Errorf("the log line is %v", line)
	}
}

func TestPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/boom", func(c *gin.Context) {
		c.String(http.StatusOK, "half")
		c.Writer.Flush()
		panic("late")
	})
	server := httptest.NewServer(r)
	defer server.Close()
	res, err := http.Get(server.URL + "/boom")
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("the client did not notice")
	}
}

func TestErrors(t *testing.T) {
	secret := errors.New("password=hunter2")
	tests := map[string]struct {
		err        error
		status     int
		code       string
		retryAfter string
		logged     bool
	}{
		"typed":       {apierr.New(apierr.Conflict, "TAKEN", "taken").With("a", 1), 409, "TAKEN", "", false},
		"wrapped":     {fmt.Errorf("doing: %w", apierr.New(apierr.NotFound, "GONE", "gone")), 404, "GONE", "", false},
		"untyped":     {secret, 500, "INTERNAL_ERROR", "", true},
		"unavailable": {apierr.ErrUnavailable.WithCause(secret), 503, "SERVICE_UNAVAILABLE", "2", true},
		"rounded up": {apierr.New(apierr.RateLimited, "SLOW", "slow").WithRetryAfter(1100 * time.Millisecond), 429,
			"SLOW", "2", false},
		"deadline":     {fmt.Errorf("query: %w", context.DeadlineExceeded), 503, "SERVICE_UNAVAILABLE", "2", true},
		"client left":  {context.Canceled, 503, "SERVICE_UNAVAILABLE", "2", true},
		"bad details":  {apierr.New(apierr.Invalid, "ODD", "odd").With("f", func() {}), 400, "ODD", "", false},
		"zero of kind": {&apierr.Error{Code: "X", Message: "y"}, 500, "X", "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.GET("/", Wrap(func(*gin.Context) error { return tt.err }))
			w := r.do(t, "GET", "/", "")
			wantError(t, w, tt.status, tt.code)
			if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, tt.retryAfter)
			}
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("the answer tells %s", w.Body)
			}
			line := r.lines(t)[0]
			if _, logged := line["error"]; logged != tt.logged || line["error_code"] != tt.code {
				t.Errorf("the log line is %v", line)
			}
		})
	}
}

func TestErrorWithMoreMembers(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", func(c *gin.Context) {
		WriteErrorWith(c, apierr.New(apierr.Forbidden, "EXPIRED", "expired"), map[string]any{"valid": false})
	})
	w := r.do(t, "GET", "/", "")
	wantError(t, w, 403, "EXPIRED")
	if !strings.Contains(w.Body.String(), `"valid":false`) {
		t.Errorf("got %s", w.Body)
	}
}

func TestRequestID(t *testing.T) {
	r := newRig(t, nil)
	var seen string
	r.GET("/", func(c *gin.Context) { seen = RequestID(c) })
	long := strings.Repeat("a", 128)
	for given, kept := range map[string]bool{
		"": false, "abc": true, "A.b_c-9": true, long: true, long + "a": false, "a b": false, "a\"b": false, "é": false,
		"a\tb": false, "{x}": false,
	} {
		var headers []string
		if given != "" {
			headers = []string{"X-Request-ID", given}
		}
		w := r.do(t, "GET", "/", "", headers...)
		got := w.Header().Get("X-Request-ID")
		if kept != (got == given) {
			t.Errorf("%q became %q", given, got)
		}
		if !kept && !uid.Is(got) {
			t.Errorf("%q became %q, want a UUID", given, got)
		}
		lines := r.lines(t)
		if last := lines[len(lines)-1]; seen != got || last["request_id"] != got {
			t.Errorf("answered %q, but the context has %q and the log %v", got, seen, last["request_id"])
		}
	}
	if w := r.do(t, "GET", "/", "", "X-Request-ID", "a", "X-Request-ID",
		"b"); !uid.Is(w.Header().Get("X-Request-ID")) {
		t.Error("two ids were taken for one")
	}
}

func TestAccessLine(t *testing.T) {
	r := newRig(t, nil)
	r.POST("/things/:id", ok)
	r.GET("/healthz", ok)
	r.do(t, "POST", "/things/7?api_key=hush", `{"secret":"hush"}`, "X-Api-Key", "hush", "X-Request-ID", "abc")
	r.do(t, "GET", "/healthz", "")
	r.do(t, "BREW", "/things/7", "")
	if strings.Contains(r.log.String(), "hush") {
		t.Errorf("the log tells %s", r.log.String())
	}
	var got []map[string]any
	for _, line := range r.lines(t) {
		if took, ok := line["duration_us"].(float64); !ok || took < 0 || took > 10_000_000 {
			t.Errorf("the duration is %v", line["duration_us"])
		}
		delete(line, "duration_us")
		delete(line, "time")
		got = append(got, line)
	}
	got[1]["request_id"], got[2]["request_id"] = "-", "-"
	want := []map[string]any{
		{"level": "INFO", "msg": "request", "method": "POST", "route": "/things/:id", "status": 200.0,
			"request_id": "abc", "client_ip": "192.0.2.1"},
		{"level": "DEBUG", "msg": "request", "method": "GET", "route": "/healthz", "status": 200.0, "request_id": "-",
			"client_ip": "192.0.2.1"},
		{"level": "INFO", "msg": "request", "method": "other", "route": "unmatched", "status": 405.0, "request_id": "-",
			"client_ip": "192.0.2.1", "error_code": "METHOD_NOT_ALLOWED"},
	}
	want[2]["route"] = got[2]["route"] // gin tells the template of a 405 or not, by version
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsByTemplate(t *testing.T) {
	m := obs.NewMetrics("test")
	r := newRig(t, func(o *Options) { o.Metrics = m })
	r.GET("/things/:id", ok)
	r.do(t, "GET", "/things/1", "")
	r.do(t, "GET", "/things/2", "")
	r.do(t, "GET", "/nothing/3", "")
	r.do(t, "BREW", "/nothing/3", "")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`latchkey_http_request_duration_seconds_count{method="GET",route="/things/:id",service="test",status="2xx"} 2`,
		`latchkey_http_request_duration_seconds_count{method="GET",route="unmatched",service="test",status="4xx"} 1`,
		`latchkey_http_request_duration_seconds_count{method="other",route="unmatched",service="test",status="4xx"} 1`,
		`le="0.0005"`, "go_goroutines", "process_", "latchkey_build_info",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("missing %s", want)
		}
	}
	if strings.Contains(w.Body.String(), "/things/1") {
		t.Error("a path became a label")
	}
}

func TestAnsweredRequestsAreCounted(t *testing.T) {
	var answered atomic.Uint64
	r := newRig(t, func(o *Options) { o.Answered = &answered })
	r.GET("/thing", Wrap(func(*gin.Context) error { return apierr.ErrInternal }))
	r.GET("/panic", func(*gin.Context) { panic("boom") })
	for i, path := range []string{"/thing", "/panic", "/unknown"} {
		r.do(t, "GET", path, "")
		if got := answered.Load(); got != uint64(i)+1 {
			t.Errorf("%d are counted after %s", got, path)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", ok)
	for _, path := range []string{"/", "/nothing"} {
		h := r.do(t, "GET", path, "").Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers are %v", path, h)
		}
		if h.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: a policy for nothing", path)
		}
	}
}

func TestReportShowsOnTheLine(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", func(c *gin.Context) {
		if !Report(c, errors.New("first")) {
			t.Error("not in a request")
		}
		Report(c, errors.New("second"))
	})
	r.do(t, "GET", "/", "")
	if got := r.lines(t)[0]["error"]; got != "first" {
		t.Errorf("got %v", got)
	}
	if Report(t.Context(), errors.New("x")) {
		t.Error("a plain context is no request")
	}
}
