package apierr

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

// Fields gathers what is wrong with the members of a request, by member path ("os_info.name"). Rules add to it, and Err
// ends the request once with everything that is wrong. The first problem of a member stays.
type Fields map[string]string

// Add notes a problem, such as "must be text".
func (f Fields) Add(name, problem string) {
	if _, taken := f[name]; !taken {
		f[name] = problem
	}
}

// Require demands something other than blanks.
func (f Fields) Require(name, value string) {
	if strings.TrimSpace(value) == "" {
		f.Add(name, "is required")
	}
}

// MaxLen demands at most n characters.
func (f Fields) MaxLen(name, value string, n int) {
	if len(value) > n && utf8.RuneCountInString(value) > n {
		f.Add(name, fmt.Sprintf("must have at most %d characters", n))
	}
}

// Range demands min <= value <= max.
func (f Fields) Range(name string, value, min, max int) {
	if value < min || value > max {
		f.Add(name, fmt.Sprintf("must be from %d to %d", min, max))
	}
}

// OneOf demands one of the allowed values, and suggests the nearest.
func (f Fields) OneOf(name, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	problem := "must be one of " + strings.Join(allowed, ", ")
	if near := nearest.Name(value, allowed); near != "" {
		problem += "; did you mean " + near + "?"
	}
	f.Add(name, problem)
}

// Err is nil when nothing was added, and else a VALIDATION_ERROR with details.fields.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return InvalidFields(f)
}
