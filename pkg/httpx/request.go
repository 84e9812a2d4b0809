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

// request is the context of one request together with what the edge knows about it. It keeps a deadline without a timer
// until somebody waits for it: a request answered from memory never does, and saves half a microsecond.
type request struct {
	parent   context.Context
	start    time.Time
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

	mu       sync.Mutex // guards the rest: a handler may hand the context to other goroutines
	deadline time.Time
	timed    context.Context
	cancel   context.CancelFunc
	ended    bool
	code     string // error_code of the answer
	cause    error  // for the log
}

type requestKey struct{}

// requestFrom returns nil outside of an engine of NewEngine.
func requestFrom(ctx context.Context) *request {
	if r, ok := ctx.(*request); ok {
		return r
	}
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// Deadline implements context.Context.
func (r *request) Deadline() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, ok := r.parent.Deadline(); ok && d.Before(r.deadline) {
		return d, true
	}
	return r.deadline, true
}

// Done implements context.Context.
func (r *request) Done() <-chan struct{} { return r.withTimer().Done() }

// Err implements context.Context.
func (r *request) Err() error { return r.withTimer().Err() }

// Value implements context.Context. It asks the context with the timer once there is one, so that package context finds the
// parent of a child without starting a goroutine.
func (r *request) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return r
	}
	r.mu.Lock()
	next := r.timed
	r.mu.Unlock()
	if next == nil {
		next = r.parent
	}
	return next.Value(key)
}

func (r *request) withTimer() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timed == nil {
		r.timed, r.cancel = context.WithDeadline(r.parent, r.deadline)
		if r.ended {
			r.cancel()
		}
	}
	return r.timed
}

// extend lets the request take d from its start. Who waits for the earlier deadline already, goes on doing so.
func (r *request) extend(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = r.start.Add(d)
	if r.timed == nil {
		return
	}
	before := r.cancel
	timed, cancel := context.WithDeadline(r.parent, r.deadline)
	r.timed, r.cancel = timed, func() { cancel(); before() }
	if r.ended {
		r.cancel()
	}
}

// slowBody is from when on the time of a body counts as the client's.
const slowBody = 100 * time.Millisecond

// bodyArrived starts the time of the request anew after a slow body: a client with a slow link has not used up our time.
func (r *request) bodyArrived() {
	took := time.Since(r.start)
	if took < slowBody {
		return
	}
	r.mu.Lock()
	limit := r.deadline.Sub(r.start)
	r.mu.Unlock()
	r.extend(took + limit)
}

// end ends the context; what a handler left running notices.
func (r *request) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.cancel != nil {
		r.cancel()
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

// SetCaller keeps who makes the request, once a guard knows it; a request of NewEngine's has one caller. It spares the map that
// gin's Context.Set makes.
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

// Report puts err on the log line of the request that ctx belongs to; it tells whether there is one. It is for protocols
// that answer errors in their own way; WriteError reports by itself.
func Report(ctx context.Context, err error) bool {
	r := requestFrom(ctx)
	if r == nil {
		return false
	}
	r.note("", err)
	return true
}

// ClientLeft tells whether the client of the request that ctx belongs to ended its connection, or its half of it, before it had its
// answer. A deadline that passed is no such end.
func ClientLeft(ctx context.Context) bool {
	r := requestFrom(ctx)
	return r != nil && errors.Is(r.parent.Err(), context.Canceled)
}

// HeaderReplayed says "true" on an answer that was given before for the same Idempotency-Key.
const HeaderReplayed = "Idempotency-Replayed"

// MarkReplayed adds HeaderReplayed to the answer of the request that ctx belongs to.
func MarkReplayed(ctx context.Context) {
	if r := requestFrom(ctx); r != nil {
		r.answer.Set(HeaderReplayed, "true")
	}
}

// ClientIP is the client's address: that of the connection, or what the trusted proxies say. See KnownClientIP.
func ClientIP(c *gin.Context) string {
	if r := requestFrom(c.Request.Context()); r != nil {
		return r.ip
	}
	return hostOf(c.Request.RemoteAddr)
}

// KnownClientIP is ClientIP, but "" where that is the address of a proxy which Options.TrustedProxies does not name: all its
// clients would seem to be one, and detectors must not take them for that.
func KnownClientIP(c *gin.Context) string {
	if ViaProxy(c) {
		return ""
	}
	return ClientIP(c)
}

// ViaProxy says that ClientIP may be the address of a proxy which Options.TrustedProxies does not name. A client in a private network
// can bring that about with a header, so it must not hide the client.
func ViaProxy(c *gin.Context) bool {
	r := requestFrom(c.Request.Context())
	return r != nil && !r.ownIP
}

// ClientNetwork is what a client counts as in limits by address: ClientIP, whether it is the client's own or that of a proxy
// nobody named, and for IPv6 its /64, which one customer commands.
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
