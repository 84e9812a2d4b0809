package jsonbody

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

// Unsettable is implemented by a request type, or a pointer to it, whose object has members that the request cannot
// set: by name, what to do instead ("use /transfer"), or "". Where unknown members are refused, these are refused with
// that.
type Unsettable interface{ Unsettable() map[string]string }

// unknown notes a member that the type does not have.
func (d *decoder) unknown(v reflect.Value, name string, known members) {
	if d.noted >= MaxProblems {
		return
	}
	if u, ok := v.Addr().Interface().(Unsettable); ok {
		if instead, ok := u.Unsettable()[name]; ok {
			d.fail(strings.TrimSuffix("cannot be set here; "+instead, "; "))
			return
		}
	}
	d.fail(UnknownName(name, slices.Sorted(maps.Keys(known))))
}

// UnknownName is the problem of a name that is not among those known: it suggests the nearest, or lists them.
func UnknownName(name string, known []string) string {
	if len(known) == 0 {
		return "is unknown; none is taken here"
	}
	if near := nearest.Name(name, known); near != "" {
		return "is unknown; did you mean " + near + "?"
	}
	return "is unknown; known are " + strings.Join(known, ", ")
}
