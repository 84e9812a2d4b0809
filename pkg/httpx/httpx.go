// Package httpx is the HTTP side of every service: the gin engine with its one middleware, request bodies and queries,
// and the one writer of errors. Package jsonbody decodes bodies, package server listens.
package httpx

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Times of requests.
const (
	// DefaultTimeout is short enough for a call that cannot reach its database or a peer service to be answered within
	// two seconds. It does not count the time in which a slow client sends its body. Within it, a load of package cache
	// has 1.5 s (loadTimeout), and the wait for a connection to the database 0.7 s (queueTime of package db).
	DefaultTimeout = 1800 * time.Millisecond
	// MaxTimeout is what calls between services may take; a report or the like gets more by Timeout.
	MaxTimeout = 30 * time.Second
	// WriteTimeout is when servers cut the connection of a request, whose answer could not be written any more. Where
	// the time of a request ends later, the connection gets later as well.
	WriteTimeout = MaxTimeout + sendTime
	// sendTime is what the client has at least to receive an answer that took all its time.
	sendTime = 5 * time.Second
)

// Options is what an engine needs to know. Only Service is required.
type Options struct {
	// Service names the service in /version and in titles.
	Service string
	// Log takes one line per request; nil discards.
	Log     *slog.Logger
	Metrics *obs.Metrics
	Clock   clock.Clock
	// TrustedProxies are addresses and CIDRs whose X-Forwarded-For is believed; none by default. See CheckProxies.
	TrustedProxies []string
	// MaxBody caps request bodies in bytes, DefaultMaxBody when 0; MaxBody the function sets it for one route.
	MaxBody int64
	// Answered, when not nil, counts the requests that were answered.
	Answered *atomic.Uint64
	// CORSOrigins are the origins whose pages may call the API from a browser, "*" any; none by default. See
	// CheckOrigins.
	CORSOrigins []string
	// Elsewhere finds the service that serves a path which this one does not; nil knows none.
	Elsewhere Elsewhere
	// StrictMembers refuses members that a request type does not have, with the nearest one it has; others ignore them.
	// Query parameters are refused by KnownQuery.
	StrictMembers bool
	// Errors are the writers of groups of paths, such as "/api/v4" for all below it, or "/api/v4/" for that path alone,
	// with and without the slash: everything that WriteError answers there, also a guard, a panic and an unknown path,
	// has the form that clients of the group expect. Others get the documented body.
	Errors map[string]ErrorWriter
	// Timeout ends the context of a request, DefaultTimeout when 0; Timeout the function changes it for one route.
	Timeout time.Duration
	// Traces records requests; nil records none, and costs nothing.
	Traces *trace.Recorder
	// FollowTraces lets the callers decide which requests are recorded: for ports that only peer services reach.
	FollowTraces bool
}

// NewEngine returns a gin engine that recovers from panics, knows each request by X-Request-ID, writes one log line and
// one observation per request, sets a deadline, and answers unknown paths and methods in the documented shape. HEAD is
// answered wherever GET is, and a slash at the end of a path does no harm; there are no redirects. It panics when
// TrustedProxies is not what CheckProxies accepts.
func NewEngine(o Options) *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // process-wide, but the same for every engine: the other modes print routes to stdout
	proxies, err := parseProxies(o.TrustedProxies)
	if err != nil {
		panic("httpx: " + err.Error())
	}
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.UseRawPath = true          // an escaped slash belongs to an id
	e.UnescapePathValues = false // it takes a plus for a blank; see unescapeParams
	e.ContextWithFallback = true // a *gin.Context passed as a context has the request's deadline and values
	// gin's own ClientIP is not used.
	if err := e.SetTrustedProxies(nil); err != nil {
		panic("httpx: " + err.Error())
	}
	if o.Traces != nil {
		e.Use(traced(&o))
	}
	e.Use(newMiddleware(o, proxies).serve)
	if len(o.CORSOrigins) > 0 {
		e.Use(crossOrigin(o.CORSOrigins))
	}
	unrouted := newRouting(e, o)
	e.Use(unescapeParams, unrouted.fixedFirst)
	e.NoRoute(Wrap(unrouted.noRoute))
	e.NoMethod(Wrap(unrouted.noMethod))
	return e
}

// Handler answers a request, or returns the error that WriteError shall answer with.
type Handler func(c *gin.Context) error

// Wrap makes a Handler one of gin's.
func Wrap(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			WriteError(c, err)
		}
	}
}

// StrictMembers has one route refuse unknown members, as Options.StrictMembers does for all: for changes, which must
// not seem to have been made when they were not.
func StrictMembers() gin.HandlerFunc {
	return func(c *gin.Context) {
		if r := requestFrom(c.Request.Context()); r != nil {
			r.strict = true
		}
	}
}

// NoMembers has one route take no members, for changes that need none: what is sent nevertheless must be a JSON object.
func NoMembers() gin.HandlerFunc {
	return Wrap(func(c *gin.Context) error { return BindOptional(c, &struct{}{}) })
}

// Timeout gives one route d from its start instead of the engine's time.
func Timeout(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		if r := requestFrom(c.Request.Context()); r != nil {
			r.extend(c, r.start, d)
		}
	}
}

// Renew gives a request d from now on: for answers that are written part by part, as long as each arrives. A context
// that was taken from c before ends as it would have.
func Renew(c *gin.Context, d time.Duration) {
	if r := requestFrom(c.Request.Context()); r != nil {
		r.extend(c, time.Now(), d)
	}
}

// Mount serves h for every POST below path, which ends in "/": the pair that a Connect constructor returns. The
// callers' own deadlines hold, which Connect passes on, not the engine's.
func Mount(e *gin.Engine, path string, h http.Handler) {
	e.POST(path+"*method", Timeout(MaxTimeout), gin.WrapH(h))
}
