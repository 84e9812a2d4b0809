package config

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

const prefix = "LATCHKEY_"

// linked are the variables that Kubernetes sets in every container for a Service named latchkey-something.
var linked = regexp.MustCompile(
	`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// foreign are the variables that are none of a service's business: LATCHKEY_TEST_* belongs to the tests, and
// LATCHKEY_SUITE_* is what scripts/suite tells the command that it runs.
var foreign = regexp.MustCompile(`^LATCHKEY_(TEST|SUITE)_`)

// refuseVariables finds typing errors in the environment, settings that the program cannot honor, and those of others.
func (l *loader) refuseVariables(o Options) {
	own := []string{envConfig}
	for _, f := range l.fields {
		own = append(own, f.env)
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || foreign.MatchString(name) || value == "" {
			continue
		}
		if reason := cmp.Or(o.Refused[name], o.Refused[strings.TrimSuffix(name, "_FILE")]); reason != "" {
			l.problem("", name, "%s", reason)
			continue
		}
		plain := strings.TrimSuffix(name, "_FILE")
		switch {
		case slices.Contains(own, name) || slices.Contains(own, plain) || linked.MatchString(name):
		case slices.Contains(o.Known, name) || slices.Contains(o.Known, plain):
			l.Unused = append(l.Unused, name)
		default:
			l.problem("", name, "there is no such setting%s", suggest(name, append(own, o.Known...)))
		}
	}
	slices.Sort(l.Unused)
	slices.SortFunc(l.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// suggest names the known name that is nearest to what was written, if any is near.
func suggest(written string, known []string) string {
	if near := nearest.Name(written, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
