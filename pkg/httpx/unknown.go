package httpx

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

// Unsettable is implemented by a request type, or a pointer to it, whose object has members that the request cannot set: by
// name, what to do instead ("use /transfer"), or "". Where unknown members are refused, these are refused with that.
type Unsettable interface{ Unsettable() map[string]string }

// unknown notes a member that the type does not have.
func (d *decoder) unknown(v reflect.Value, name string, known plan) {
	if d.noted >= maxProblems {
		return
	}
	if u, ok := v.Addr().Interface().(Unsettable); ok {
		if instead, ok := u.Unsettable()[name]; ok {
			d.fail(strings.TrimSuffix("cannot be set here; "+instead, "; "))
			return
		}
	}
	d.fail(unknownName(name, slices.Sorted(maps.Keys(known))))
}

// KnownQuery refuses query parameters other than those named, with the nearest of them.
func KnownQuery(c *gin.Context, names ...string) error {
	given, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return apierr.InvalidField("query", "is not a well-formed query string")
	}
	bad := Fields{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) && len(bad) < maxProblems {
			bad.Add(shortened(strings.ToValidUTF8(name, "\ufffd")), unknownName(name, names))
		}
	}
	return bad.Err()
}

// OnlyQuery has one route refuse query parameters other than those named, as KnownQuery does.
func OnlyQuery(names ...string) gin.HandlerFunc {
	return Wrap(func(c *gin.Context) error { return KnownQuery(c, names...) })
}

func unknownName(name string, known []string) string {
	if len(known) == 0 {
		return "is unknown; none is taken here"
	}
	if near := nearest.Name(name, known); near != "" {
		return "is unknown; did you mean " + near + "?"
	}
	return "is unknown; known are " + strings.Join(known, ", ")
}
