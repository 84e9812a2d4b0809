package httpx

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// request is what the middleware knows about one request.
type request struct {
	ctx      context.Context // of the connection, with this request as a value and without its deadline
	cancel   context.CancelFunc
	start    time.Time
	timeout  time.Duration
	id       string
	ip       string
	ownIP    bool // ip is the client's and not that of a proxy nobody named
	maxBody  int64
	strict   bool // unknown members are refused
	body     []byte
	bodyRead bool
	caller   any
	answer   http.Header
	errors   errorWriters

	mu    sync.Mutex // guards the rest: a handler may hand its context to other goroutines
	code  string     // error_code of the answer
	cause error      // for the log
}

type requestKey struct{}

// requestFrom returns nil outside of an engine of NewEngine.
func requestFrom(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// extend lets the request take d from a start, and its answer arrive after that. A context taken from c before keeps
// its earlier deadline.
func (r *request) extend(c *gin.Context, start time.Time, d time.Duration) {
	ctx, before := newDeadlineContext(r.ctx, start, d), r.cancel
	r.cancel = func() {
		ctx.cancel()
		before()
	}
	r.timeout = d
	c.Request = c.Request.WithContext(ctx)
	if cut := start.Add(d + sendTime); cut.After(r.start.Add(WriteTimeout)) {
		// A writer that is no connection's, as those in one process are, is not cut.
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(cut)
	}
}

// slowBody is from when on the time of a body counts as the client's.
const slowBody = 100 * time.Millisecond

// bodyArrived starts the time of the request again after a slow body: a client with a slow link has not used up our
// time.
func (r *request) bodyArrived(c *gin.Context) {
	if took := time.Since(r.start); took >= slowBody {
		r.extend(c, r.start.Add(took), r.timeout)
	}
}

// note keeps what the access line shall tell about a failure; the first one noted is the one nearest to its cause.
func (r *request) note(code string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if code != "" {
		r.code = code
	}
	if r.cause == nil {
		r.cause = cause
	}
}

// RequestID is the id of the request that ctx belongs to, "" when there is none.
func RequestID(ctx context.Context) string {
	if r := requestFrom(ctx); r != nil {
		return r.id
	}
	return ""
}

// SetCaller keeps who makes the request, once a guard knows it; a request of NewEngine's has one caller. It spares the
// map that gin's Context.Set makes.
func SetCaller(c *gin.Context, caller any) {
	if r := requestFrom(c.Request.Context()); r != nil {
		r.caller = caller
	}
}

// Caller is what SetCaller was given, nil before.
func Caller(c *gin.Context) any {
	if r := requestFrom(c.Request.Context()); r != nil {
		return r.caller
	}
	return nil
}

// Report puts err on the log line of the request of ctx, and reports whether there is one. It is for
// protocols that answer errors in their own way; WriteError reports by itself.
func Report(ctx context.Context, err error) bool {
	r := requestFrom(ctx)
	if r == nil {
		return false
	}
	r.note("", err)
	return true
}

// ReportCode puts the error code of an answer that somebody else wrote on the log line of the request that ctx belongs
// to.
func ReportCode(ctx context.Context, code string) {
	if r := requestFrom(ctx); r != nil {
		r.note(code, nil)
	}
}

// ClientLeft reports whether the client of the request that ctx belongs to ended its connection, or its half of it,
// before it had its answer. A deadline that passed is no such end.
func ClientLeft(ctx context.Context) bool {
	r := requestFrom(ctx)
	return r != nil && errors.Is(r.ctx.Err(), context.Canceled)
}

// Left is closed when ClientLeft becomes true; nil outside of an engine. Callers that wait for a turn give it up
// then.
func Left(ctx context.Context) <-chan struct{} {
	if r := requestFrom(ctx); r != nil {
		return r.ctx.Done()
	}
	return nil
}

// HeaderReplayed says "true" on an answer that was given before for the same Idempotency-Key.
const HeaderReplayed = "Idempotency-Replayed"

// MarkReplayed adds HeaderReplayed to the answer of the request that ctx belongs to.
func MarkReplayed(ctx context.Context) {
	if r := requestFrom(ctx); r != nil {
		r.answer.Set(HeaderReplayed, "true")
	}
}

// ClientIP is the client's address: that of the connection, or what the trusted proxies say.
func ClientIP(c *gin.Context) string {
	if r := requestFrom(c.Request.Context()); r != nil {
		return r.ip
	}
	return hostOf(c.Request.RemoteAddr)
}

// ViaProxy says that ClientIP may be the address of a proxy which Options.TrustedProxies does not name. A client in a
// private network can bring that about with a header, so it must not hide the client; all clients of a proxy seem to be
// one, so detectors must know.
func ViaProxy(c *gin.Context) bool {
	r := requestFrom(c.Request.Context())
	return r != nil && !r.ownIP
}

// ClientNetwork is what a client counts as in limits by address: ClientIP, whether it is the client's own or that of a
// proxy nobody named, and for IPv6 its /64, which one customer commands.
func ClientNetwork(c *gin.Context) string {
	ip := ClientIP(c)
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Unmap().Is4() {
		return ip
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return network.String()
}
