package httpx

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// edge is the one middleware of an engine. It is one and not six because it runs on every request.
type edge struct {
	Options
	lines   slog.Handler // takes the access line
	exits   exits
	proxies proxies
	warned  rate.Sometimes
}

func newEdge(o Options, p proxies) *edge {
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
	return &edge{Options: o, proxies: p, warned: rate.Sometimes{Interval: time.Minute}, lines: obs.Unredacted(o.Log)}
}

func (e *edge) serve(c *gin.Context) {
	if requestFrom(c.Request.Context()) != nil {
		return // routed anew, see routing
	}
	r := e.begin(c)
	defer e.finish(c, r)
	c.Next()
}

// Shared by all answers; header values are never changed in place.
var (
	noSniff = []string{"nosniff"}
	noStore = []string{"no-store"}
)

func (e *edge) begin(c *gin.Context) *request {
	r := &request{
		start:   time.Now(),
		timeout: e.Timeout,
		id:      requestID(c.Request.Header),
		maxBody: e.MaxBody,
		answer:  c.Writer.Header(),
		strict:  e.StrictMembers,
		errors:  e.Errors,
	}
	r.ip, r.ownIP = e.proxies.client(c.Request)
	if !r.ownIP {
		e.warned.Do(func() { e.warnOfProxy(r.ip) })
	}
	r.ctx = context.WithValue(trace.FromHeader(c.Request.Context(), c.Request.Header), requestKey{}, r)
	ctx, cancel := context.WithDeadline(r.ctx, r.start.Add(r.timeout))
	r.cancel = cancel
	c.Request = c.Request.WithContext(ctx)
	h := c.Writer.Header()
	h[headerRequestID] = []string{r.id}
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore // answers hold keys and tokens
	return r
}

func (e *edge) warnOfProxy(ip string) {
	e.Log.Warn("a proxy forwards requests that LATCHKEY_TRUSTED_PROXIES does not name: limits by client address count its "+
		"clients as one, detectors hardly tell them apart", "proxy", ip)
}

// finish is deferred: it turns a panic into a 500 and lets the request leave its line and observation.
func (e *edge) finish(c *gin.Context, r *request) {
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
	e.Answered.Add(1)
	e.leave(r, e.exit(outcomeOf(c)))
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

const logMessage = "request"

// leave writes the observation and the line of a request.
func (e *edge) leave(r *request, x *exit) {
	took := time.Since(r.start)
	if x.latency != nil {
		x.latency.Observe(took.Seconds())
	}
	if !x.lines.Enabled(r.ctx, x.level) {
		return
	}
	r.mu.Lock()
	code, cause := r.code, r.cause
	r.mu.Unlock()
	// A record of our own, as slog.Logger would look up the line of code, which is always this one.
	line := slog.NewRecord(r.start.Add(took), x.level, logMessage, 0)
	line.AddAttrs(
		slog.Int64("duration_us", took.Microseconds()), // slog writes a float four times as slowly
		slog.String("request_id", r.id),
		slog.String("client_ip", r.ip),
	)
	if code != "" {
		line.AddAttrs(slog.String("error_code", code))
	}
	if cause != nil {
		line.AddAttrs(slog.String("error", cause.Error()))
	}
	_ = x.lines.Handle(r.ctx, line) // nowhere to tell
}

func levelOf(route string, status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case route == "/healthz" || route == "/readyz" || route == "/metrics":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// knownMethod keeps methods that somebody made up out of labels and logs.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodPut, http.MethodHead, http.MethodOptions:
		return m
	}
	return "other"
}

const headerRequestID = "X-Request-Id"

// requestID takes the caller's id when it is harmless in logs and headers.
func requestID(h http.Header) string {
	if given := h[headerRequestID]; len(given) == 1 && harmlessID(given[0]) {
		return given[0]
	}
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
