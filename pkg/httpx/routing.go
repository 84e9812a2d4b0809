package httpx

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

var (
	errNoRoute = apierr.New(apierr.NotFound, errcode.NotFound,
		"there is nothing at this path; /openapi.json lists what there is")
	errNoMethod = apierr.New(apierr.MethodNotAllowed, errcode.MethodNotAllowed,
		"this path does not take that method; the Allow header names those it takes")
)

var slashes = regexp.MustCompile("/+")

// Elsewhere returns which service of the suite serves a path, and its usual port; "" when none is known.
type Elsewhere func(path string) (service string, port int)

// routing answers what no route of an engine takes as it is.
type routing struct {
	engine    *gin.Engine
	service   string
	elsewhere Elsewhere
	// closer are, by the path of a route with parameters, those that have fixed text in their places.
	closer func() map[string][]*fixedRoute
}

// fixedRoute is a path that another one with parameters also takes, such as /things/import beside /things/:id.
type fixedRoute struct {
	parts   []string
	methods []string
}

func newRouting(e *gin.Engine, o Options) *routing {
	r := &routing{engine: e, service: o.Service, elsewhere: o.Elsewhere}
	r.closer = sync.OnceValue(func() map[string][]*fixedRoute { return closerRoutes(e.Routes()) })
	return r
}

// closerRoutes finds, for each path with parameters, the other paths that it also takes.
func closerRoutes(routes gin.RoutesInfo) map[string][]*fixedRoute {
	known := map[string]*fixedRoute{}
	for _, route := range routes {
		f := known[route.Path]
		if f == nil {
			f = &fixedRoute{parts: strings.Split(route.Path, "/")}
			known[route.Path] = f
		}
		f.methods = append(f.methods, route.Method)
	}
	closer := map[string][]*fixedRoute{}
	for path, f := range known {
		for other, g := range known {
			if other != path && g.isCloserThan(f.parts) {
				closer[path] = append(closer[path], g)
			}
		}
	}
	return closer
}

// isCloserThan reports whether the path has fixed text wherever parts have it, and in place of some of their
// parameters.
func (f *fixedRoute) isCloserThan(parts []string) bool {
	if len(f.parts) != len(parts) {
		return false
	}
	for i, part := range parts {
		if f.parts[i] != part && !strings.HasPrefix(part, ":") {
			return false
		}
	}
	return true
}

// takes reports whether a path is one of the route.
func (f *fixedRoute) takes(path string) bool {
	given := strings.Split(path, "/")
	if len(given) != len(f.parts) {
		return false
	}
	for i, part := range f.parts {
		if part != given[i] && !strings.HasPrefix(part, ":") {
			return false
		}
	}
	return true
}

// fixedFirst keeps a fixed path from being taken for a path with a parameter by methods that only the latter has: they
// are answered as unknown, before any credential is asked for.
func (r *routing) fixedFirst(c *gin.Context) {
	f := r.fixed(c.FullPath(), c.Request.URL.Path)
	if f == nil || c.Request.Method == http.MethodHead && slices.Contains(f.methods, http.MethodGet) {
		return
	}
	c.Header("Allow", strings.Join(f.methods, ", "))
	WriteError(c, errNoMethod)
}

// fixed is the fixed path that a request for path is one for, although its method led to the route, or to none ("");
// nil if there is none.
func (r *routing) fixed(route, path string) *fixedRoute {
	closer := r.closer()
	if route != "" {
		return first(closer[route], path)
	}
	for _, routes := range closer {
		if f := first(routes, path); f != nil {
			return f
		}
	}
	return nil
}

func first(routes []*fixedRoute, path string) *fixedRoute {
	for _, f := range routes {
		if f.takes(path) {
			return f
		}
	}
	return nil
}

// unescapeParams unescapes what is in the places of parameters, where the path was matched as it was sent. Text that
// no part of a request may have becomes empty, which nothing is named: no handler needs to look.
func unescapeParams(c *gin.Context) {
	for i := range c.Params {
		value := &c.Params[i].Value
		if text, err := url.PathUnescape(*value); err == nil && c.Request.URL.RawPath != "" {
			*value = text
		}
		if jsonbody.TextProblem(jsonbody.Identifier(*value)) != "" {
			*value = ""
		}
	}
}

// noRoute takes a path with slashes at its end for the one without, and one that is escaped more than it needs to be
// for the same without that. Guards then see that path, too. Other paths are answered with a hint.
func (r *routing) noRoute(c *gin.Context) error {
	if simplify(c.Request.URL) {
		r.again(c)
		return nil
	}
	path := slashes.ReplaceAllString(c.Request.URL.Path, "/") // of a base URL that ends in one
	if r.elsewhere != nil {
		if service, port := r.elsewhere(path); service != "" && service != r.service {
			return errNoRoute.With("service", service).With("port", port).
				WithMessagef("this is the %s service; this path is served by the %s service, usually on port %d",
					r.service, service, port)
		}
	}
	if near := r.similar(path); near != "" {
		return errNoRoute.WithMessagef(
			"there is nothing at this path; did you mean %s? /openapi.json lists what there is", near)
	}
	return errNoRoute
}

// simplify brings a path that no route takes closer to one that may be meant.
func simplify(u *url.URL) bool {
	sent := u.EscapedPath()
	if bare := strings.TrimRight(sent, "/"); bare != "" && bare != sent {
		if path, err := url.PathUnescape(bare); err == nil {
			u.Path = path
			if u.RawPath != "" {
				u.RawPath = bare
			}
			return true
		}
	}
	if u.RawPath != "" && !strings.Contains(strings.ToUpper(u.RawPath), "%2F") {
		u.RawPath = "" // an escaped slash divides nothing: proxies that filter by path see another one
		return true
	}
	return false
}

// noMethod answers HEAD as GET; net/http leaves the body out.
func (r *routing) noMethod(c *gin.Context) error {
	if c.Request.Method != http.MethodHead || !slices.Contains(allowed(c), http.MethodGet) {
		return errNoMethod
	}
	c.Request.Method = http.MethodGet // of the engine's copy of the request
	r.again(c)
	c.Request.Method = http.MethodHead // for the log
	return nil
}

// allowed are the methods that gin has put into the answer.
func allowed(c *gin.Context) []string {
	return strings.Split(c.Writer.Header().Get("Allow"), ", ")
}

// again routes the request again; its path or method has changed.
func (r *routing) again(c *gin.Context) {
	c.Writer.Header().Del("Allow")
	c.Writer.Header().Del("Vary") // middleware adds to it once more
	c.Status(http.StatusOK)       // gin has set 404 or 405, and some handlers set none
	r.engine.HandleContext(c)
}

// similar is the path of a route that path may have been meant for, with what path has in the places of parameters.
func (r *routing) similar(path string) string {
	if len(path) > nearest.Longest {
		return ""
	}
	given := strings.Split(path, "/")
	var known []string
	for _, route := range r.engine.Routes() {
		parts := strings.Split(route.Path, "/")
		if len(parts) != len(given) || strings.Contains(route.Path, "*") {
			continue
		}
		for i, part := range parts {
			if strings.HasPrefix(part, ":") {
				parts[i] = given[i]
			}
		}
		known = append(known, strings.Join(parts, "/"))
	}
	return nearest.Name(path, known)
}
