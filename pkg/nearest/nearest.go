// Package nearest finds the name that somebody may have meant who wrote another one: a setting, a member, a query
// parameter, a path.
package nearest

import (
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// Longest is the longest name that others are compared with, in bytes: the work is bounded by its square.
const Longest = 128

// Name is the one of known that is nearest to written, "" when none is near. Letter case, hyphens and underscores make
// no difference.
func Name(written string, known []string) string {
	if len(written) > Longest {
		return ""
	}
	written = folded(written)
	best, least := "", min(max(1, utf8.RuneCountInString(written)/3), 3)+1
	for _, k := range known {
		if n := levenshtein.ComputeDistance(written, folded(k)); n < least {
			best, least = k, n
		}
	}
	return best
}

func folded(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}
