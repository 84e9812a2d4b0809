package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/obs"
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
func TestOnlyMethods(t *testing.T) {
	r := newRig(t, nil)
	r.Use(OnlyMethods("/things/import", "POST"))
	r.POST("/things/import", ok)
	r.GET("/things/:id", ok)
	r.DELETE("/things/:id", ok)
	for _, method := range []string{"GET", "DELETE", "PUT", "HEAD", "BREW"} {
		w := r.do(t, method, "/things/import", "")
		wantError(t, w, 405, "METHOD_NOT_ALLOWED")
		if allow := w.Header()["Allow"]; len(allow) != 1 || allow[0] != "POST" {
			t.Errorf("%s: Allow is %q", method, allow)
		}
	}
	for path, method := range map[string]string{
		"/things/import":  "POST",
		"/things/imports": "GET",
		"/things/1":       "DELETE",
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
		if !kept && uuid.Validate(got) != nil {
			t.Errorf("%q became %q, want a UUID", given, got)
		}
		lines := r.lines(t)
		if last := lines[len(lines)-1]; seen != got || last["request_id"] != got {
			t.Errorf("answered %q, but the context has %q and the log %v", got, seen, last["request_id"])
		}
	}
	if w := r.do(t, "GET", "/", "", "X-Request-ID", "a", "X-Request-ID",
		"b"); uuid.Validate(w.Header().Get("X-Request-ID")) != nil {
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

func TestDeadline(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Timeout = 20 * time.Millisecond })
	wait := func(c *gin.Context) error {
		child, cancel := context.WithCancel(c)
		defer cancel()
		<-child.Done()
		return c.Request.Context().Err()
	}
	r.GET("/wait", Wrap(wait))
	wantError(t, r.do(t, "GET", "/wait", ""), 503, "SERVICE_UNAVAILABLE")

	var left time.Duration
	r.GET("/longer", Timeout(time.Hour), func(c *gin.Context) {
		deadline, _ := c.Request.Context().Deadline()
		left = time.Until(deadline)
	})
	r.do(t, "GET", "/longer", "")
	if left < 59*time.Minute {
		t.Errorf("%v are left of an hour", left)
	}
}

// TestDeadlineMovesForWhoWaitedAlready: a guard that looked at the deadline does not fix it for the route behind it.
func TestDeadlineMovesForWhoWaitedAlready(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Timeout = time.Minute })
	guard := func(c *gin.Context) { _ = c.Request.Context().Err() }
	var child context.Context
	r.GET("/longer", guard, Timeout(time.Hour), func(c *gin.Context) {
		ctx, cancel := context.WithCancel(c.Request.Context())
		_ = cancel
		child = ctx
		if deadline, _ := child.Deadline(); time.Until(deadline) < 59*time.Minute || child.Err() != nil {
			t.Errorf("ends %v, %v", deadline, child.Err())
		}
	})
	r.do(t, "GET", "/longer", "")
	<-child.Done()
}

// TestSlowBodyLeavesTheTimeOfTheRequest: the time in which a slow client sends its body is not taken from that of the
// work.
func TestSlowBodyLeavesTheTimeOfTheRequest(t *testing.T) {
	const limit = time.Minute
	r := newRig(t, func(o *Options) { o.Timeout = limit })
	r.POST("/", Wrap(func(c *gin.Context) error {
		started := requestFrom(c.Request.Context())
		started.start = started.start.Add(-time.Hour) // as if the body had taken an hour
		if _, err := Body(c); err != nil {
			return err
		}
		if deadline, _ := c.Request.Context().Deadline(); time.Until(deadline) < limit-10*time.Second {
			t.Errorf("%v are left of %v", time.Until(deadline), limit)
		}
		return c.Request.Context().Err()
	}))
	if res := r.do(t, "POST", "/", "{}"); res.Code != http.StatusOK {
		t.Errorf("answered %d", res.Code)
	}
}

func TestContextEndsWithTheRequest(t *testing.T) {
	r := newRig(t, nil)
	var before, after context.Context
	r.GET("/", func(c *gin.Context) {
		before = c.Request.Context()
		var cancel context.CancelFunc
		after, cancel = context.WithTimeout(c.Request.Context(), time.Hour)
		_ = cancel
		if err := before.Err(); err != nil {
			t.Errorf("ended while the request ran: %v", err)
		}
	})
	r.do(t, "GET", "/", "")
	<-before.Done()
	<-after.Done()
	if !errors.Is(before.Err(), context.Canceled) || !errors.Is(after.Err(), context.Canceled) {
		t.Errorf("got %v and %v", before.Err(), after.Err())
	}
}

func TestContextFirstLookedAtAfterTheRequest(t *testing.T) {
	r := newRig(t, nil)
	var ctx context.Context
	r.GET("/", func(c *gin.Context) { ctx = c.Request.Context() })
	r.do(t, "GET", "/", "")
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %v", ctx.Err())
	}
}

func TestContextKeepsAnEarlierDeadline(t *testing.T) {
	r := newRig(t, nil)
	soon := time.Now().Add(time.Second)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	r.GET("/", func(c *gin.Context) {
		if d, ok := c.Request.Context().Deadline(); !ok || !d.Equal(soon) {
			t.Errorf("the deadline is %v", d)
		}
	})
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(parent))
}

func TestClientIP(t *testing.T) {
	trusted := []string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"}
	tests := map[string]struct {
		peer    string
		headers []string
		want    string
		known   bool
	}{
		"direct":                {"203.0.113.5:1", nil, "203.0.113.5", true},
		"direct IPv6":           {"[2001:db8::1]:1", nil, "2001:db8::1", true},
		"spoofed by a stranger": {"203.0.113.5:1", []string{"X-Forwarded-For", "1.2.3.4"}, "203.0.113.5", true},
		"unnamed proxy": {"192.168.1.1:1", []string{"X-Forwarded-For", "1.2.3.4"}, "192.168.1.1",
			false},
		"unnamed proxy, Forwarded": {"127.0.0.1:1", []string{"Forwarded", "for=1.2.3.4"}, "127.0.0.1", false},
		"unnamed proxy, X-Real-IP": {"[::1]:1", []string{"X-Real-IP", "1.2.3.4"}, "::1", false},
		"named proxy":              {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"named proxy, direct":      {"10.1.1.1:1", nil, "10.1.1.1", true},
		"named by address":         {"192.0.2.7:1", []string{"X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"mapped into IPv6": {"[::ffff:10.1.1.1]:1", []string{"X-Forwarded-For", "::ffff:1.2.3.4"},
			"1.2.3.4", true},
		"two proxies": {"10.1.1.1:1", []string{"X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.2.2.2"},
			"1.2.3.4", true},
		"a line of the proxy's own": {"10.1.1.1:1",
			[]string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"only proxies": {"10.1.1.1:1", []string{"X-Forwarded-For", "10.3.3.3, 10.2.2.2"}, "10.3.3.3",
			true},
		"garbage": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4, unknown"}, "10.1.1.1",
			false},
		"garbage beyond the client": {"10.1.1.1:1", []string{"X-Forwarded-For", "unknown, 1.2.3.4"}, "1.2.3.4",
			true},
		"no element": {"10.1.1.1:1", []string{"X-Forwarded-For", " , "}, "10.1.1.1", false},
		"empty elements": {"10.1.1.1:1",
			[]string{"X-Forwarded-For", "1.2.3.4, ,", "X-Forwarded-For", ""}, "1.2.3.4", true},
		"with a port": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4:5678"}, "1.2.3.4", true},
		"IPv6 in brackets": {"10.1.1.1:1", []string{"X-Forwarded-For", "[2001:db8::7]"}, "2001:db8::7",
			true},
		"IPv6 with a port": {"10.1.1.1:1", []string{"X-Forwarded-For", "[2001:db8::7]:443"}, "2001:db8::7",
			true},
		"X-Real-IP alone from a proxy": {"10.1.1.1:1", []string{"X-Real-IP", "6.6.6.6"}, "10.1.1.1", false},
		"Forwarded alone from a proxy": {"10.1.1.1:1", []string{"Forwarded", "for=6.6.6.6"}, "10.1.1.1", false},
		"X-Real-IP is not believed": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4", "X-Real-IP", "6.6.6.6"},
			"1.2.3.4", true},
		"zone does not reach the limit": {"10.1.1.1:1", []string{"X-Forwarded-For", "fe80::1%eth0"}, "fe80::1", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.TrustedProxies = trusted })
			var ip string
			var known bool
			r.GET("/", func(c *gin.Context) { ip, known = ClientIP(c), KnownClientIP(c) != "" })
			req := httptest.NewRequest("GET", "/", nil)
			req.RemoteAddr = tt.peer
			for i := 0; i < len(tt.headers); i += 2 {
				req.Header.Add(tt.headers[i], tt.headers[i+1])
			}
			r.ServeHTTP(httptest.NewRecorder(), req)
			if ip != tt.want || known != tt.known {
				t.Errorf("got %s known %v, want %s known %v", ip, known, tt.want, tt.known)
			}
			if warned := strings.Contains(r.log.String(), "LATCHKEY_TRUSTED_PROXIES"); warned == known {
				t.Errorf("warned: %v", warned)
			}
		})
	}
}

func TestNoProxyIsTrustedByDefault(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", func(c *gin.Context) { c.String(200, ClientIP(c)+" "+c.ClientIP()) })
	if got := r.do(t, "GET", "/", "", "X-Forwarded-For", "1.2.3.4").Body.String(); got != "192.0.2.1 192.0.2.1" {
		t.Errorf("got %s", got)
	}
}

func TestCheckProxies(t *testing.T) {
	if err := CheckProxies([]string{"10.0.0.0/8", "::1", "fd00::/8", "::ffff:10.0.0.0/104"}, true); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/33", "10.0.0", "*", "nonsense", "fe80::1%eth0"} {
		if CheckProxies([]string{bad}, false) == nil {
			t.Errorf("%q was accepted", bad)
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

// BenchmarkEngine tells what the middleware costs: the same handler behind a bare gin engine and behind ours, with a
// JSON logger and metrics. "ratio" is requests per second of ours over bare gin's, without the network around both.
func BenchmarkEngine(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	handler := func(c *gin.Context) {
		var body struct {
			Key string `json:"license_key"`
		}
		raw, _ := io.ReadAll(c.Request.Body)
		_ = json.Unmarshal(raw, &body)
		c.JSON(http.StatusOK, gin.H{"valid": true, "key": body.Key})
	}
	bare := gin.New()
	bare.POST("/validate", handler)
	full := NewEngine(Options{
		Service: "test",
		Log:     obs.NewLogger(obs.NewBuffer(io.Discard), "info", "json"),
		Metrics: obs.NewMetrics("test"),
	})
	full.POST("/validate", handler)
	silent := NewEngine(Options{Service: "test", Log: slog.New(slog.DiscardHandler)})
	silent.POST("/validate", handler)

	payload := []byte(`{"license_key":"LIC-ABCD","hardware_id":"hw-1"}`)
	w := &nullWriter{header: http.Header{}}
	call := func(e *gin.Engine) {
		req, _ := http.NewRequest("POST", "/validate", bytes.NewReader(payload))
		req.RemoteAddr = "192.0.2.1:1234"
		e.ServeHTTP(w, req)
	}
	for name, e := range map[string]*gin.Engine{"bare": bare, "silent": silent, "full": full} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call(e)
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		const batch = 50 // small, in turns, and the fastest of each counts: a busy machine then disturbs neither
		one, two := time.Hour, time.Hour
		time50 := func(e *gin.Engine) time.Duration {
			start := time.Now()
			for range batch {
				call(e)
			}
			return time.Since(start)
		}
		for b.Loop() {
			one, two = min(one, time50(bare)), min(two, time50(full))
		}
		b.ReportMetric(float64(one)/float64(two), "ratio")
		b.ReportMetric(float64(two-one)/batch, "ns-more/op")
		b.ReportMetric(float64(one)/batch, "ns-bare/op")
	})
}

type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}
