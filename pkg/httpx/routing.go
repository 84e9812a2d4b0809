package httpx

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
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

// Elsewhere tells which service of the suite serves a path, and its usual port; "" when none is known to.
type Elsewhere func(path string) (service string, port int)

// routing answers what no route of an engine takes as it is.
type routing struct {
	engine    *gin.Engine
	service   string
	elsewhere Elsewhere
}

// noRoute takes a path with slashes at its end for the one without. Guards then see that path, too. Other paths are
// answered with a hint.
func (r *routing) noRoute(c *gin.Context) error {
	path := c.Request.URL.Path
	if bare := strings.TrimRight(path, "/"); bare != "" && bare != path {
		c.Request.URL.Path, c.Request.URL.RawPath = bare, ""
		r.again(c)
		return nil
	}
	path = slashes.ReplaceAllString(path, "/") // of a base URL that ends in one
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

// again routes the request anew; its path or method has changed.
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

// OnlyMethods keeps a fixed path from being taken for a path with a parameter, such as /things/import for /things/:id:
// methods that only the latter has are answered as unknown. allow is the Allow header of that answer. It is for Use,
// before the routes.
func OnlyMethods(path, allow string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.URL.Path == path && c.FullPath() != path {
			c.Header("Allow", allow)
			WriteError(c, errNoMethod)
		}
	}
}
