package httpx

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// middleware is the only one of an engine: it begins and ends every request.
type middleware struct {
	Options
	outcomes sync.Map // outcome -> *outcomeLog; there are as many as routes have statuses
	proxies  proxies
	warned   rate.Sometimes
}

func newMiddleware(o Options, p proxies) *middleware {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Answered == nil {
		o.Answered = new(atomic.Uint64)
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return &middleware{Options: o, proxies: p, warned: rate.Sometimes{Interval: time.Minute}}
}

func (m *middleware) serve(c *gin.Context) {
	if requestFrom(c.Request.Context()) != nil {
		return // routed again, see routing
	}
	r := m.begin(c)
	defer m.finish(c, r)
	c.Next()
}

// Shared by all answers; header values are never changed in place.
var (
	noSniff = []string{"nosniff"}
	noStore = []string{"no-store"}
)

func (m *middleware) begin(c *gin.Context) *request {
	r := &request{
		start:   time.Now(),
		timeout: m.Timeout,
		id:      requestID(c.Request.Header),
		maxBody: m.MaxBody,
		answer:  c.Writer.Header(),
		strict:  m.StrictMembers,
		errors:  m.Errors,
	}
	r.ip, r.ownIP = m.proxies.client(c.Request)
	if !r.ownIP {
		m.warned.Do(func() { m.warnOfProxy(r.ip) })
	}
	r.ctx = context.WithValue(m.parent(c.Request), requestKey{}, r)
	ctx := newDeadlineContext(r.ctx, r.start, r.timeout)
	r.cancel = ctx.cancel
	c.Request = c.Request.WithContext(ctx)
	h := c.Writer.Header()
	h[HeaderRequestID] = []string{r.id}
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore // answers hold keys and tokens
	return r
}

func (m *middleware) warnOfProxy(ip string) {
	m.Log.Warn("a proxy forwards requests that LATCHKEY_TRUSTED_PROXIES does not name: limits by client address count "+
		"its clients as one, detectors hardly tell them apart", "proxy", ip)
}

// finish is deferred: it turns a panic into a 500 and lets the request leave its line and observation.
func (m *middleware) finish(c *gin.Context, r *request) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		r.note(apierr.ErrInternal.Code, panicked(p))
		if !c.Writer.Written() {
			c.Abort()
			WriteError(c, apierr.ErrInternal)
			p = nil
		}
	}
	if !r.bodyRead && c.Request.ContentLength != 0 {
		awaitBody(r.ctx, true) // net/http waits for what nobody read
	}
	r.cancel()
	m.Answered.Add(1)
	o := outcomeOf(c)
	m.record(r, m.outcomeLog(o))
	if m.Traces != nil {
		describeSpan(r, o)
	}
	if p != nil {
		panic(http.ErrAbortHandler) // half an answer is out: cut the connection so that the client notices
	}
}

// panicked keeps the stack for the log; no caller ever sees it.
func panicked(p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

func outcomeOf(c *gin.Context) outcome {
	return outcome{
		method: knownMethod(c.Request.Method),
		route:  cmp.Or(c.FullPath(), "unmatched"),
		status: c.Writer.Status(),
	}
}

// record writes the observation and the log line of a request.
func (m *middleware) record(r *request, to *outcomeLog) {
	took := time.Since(r.start)
	if to.latency != nil {
		to.latency.Observe(took.Seconds())
	}
	r.mu.Lock()
	code, cause := r.code, r.cause
	r.mu.Unlock()
	if code != "" && m.Metrics != nil {
		m.Metrics.Error(code)
	}
	level := to.level
	if code == errcode.Maintenance {
		level, cause = slog.LevelInfo, nil // the operator wants it so
	}
	if !to.log.Enabled(r.ctx, level) {
		return
	}
	// A Logger would look up where in the program this is.
	line := slog.NewRecord(r.start.Add(took), level, "request", 0)
	line.AddAttrs(
		slog.Int64("duration_us", took.Microseconds()),
		slog.String("request_id", r.id),
		slog.String("client_ip", r.ip),
	)
	if code != "" {
		line.AddAttrs(slog.String("error_code", code))
	}
	if cause != nil {
		line.AddAttrs(slog.String("error", cause.Error()))
	}
	_ = to.log.Handle(r.ctx, line) // a log that fails cannot be told so
}

func levelOf(route string, status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case isProbe(route):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// isProbe tells of the paths that machines ask all the time.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// knownMethod keeps methods that somebody made up out of labels and logs.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete,
		http.MethodPut, http.MethodHead, http.MethodOptions:
		return m
	}
	return "other"
}

// HeaderRequestID names a request, in the request and in its answer.
const HeaderRequestID = "X-Request-Id"

// requestID takes the caller's id when it is harmless in logs and headers.
func requestID(h http.Header) string {
	if given := h[HeaderRequestID]; len(given) == 1 && harmlessID(given[0]) {
		return given[0]
	}
	return NewRequestID()
}

// NewRequestID names a request that has no harmless id of its own.
func NewRequestID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return id.String()
}

func harmlessID(s string) bool {
	if len(s) == 0 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		alnum := b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !alnum && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}
