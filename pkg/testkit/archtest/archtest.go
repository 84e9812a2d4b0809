// Package archtest tests who imports whom, and who serves what.
package archtest

import (
	"os/exec"
	"strings"
	"testing"
)

// Rules fails t when a package that matches pattern (as of go list, relative to the test's folder) depends, directly or
// not, on a package whose path is one of forbidden or lies below it. Test files do not count.
//
//	archtest.Rules(t, "./internal/credential", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq")
func Rules(t testing.TB, pattern string, forbidden ...string) {
	t.Helper()
	deps := list(t, "-deps", pattern)
	if len(deps) == 0 {
		t.Fatalf("no package matches %s", pattern)
	}
	for _, dep := range deps {
		for _, f := range forbidden {
			if dep == f || strings.HasPrefix(dep, f+"/") {
				t.Errorf("%s depends on %s, which is not for it; `go list -deps -f '{{.ImportPath}} {{.Imports}}' "+
					"%s` shows the way", pattern, dep, pattern)
			}
		}
	}
}

// Imports fails t when a package that matches pattern imports, in its own files, one of forbidden or what lies below
// it.
func Imports(t testing.TB, pattern string, forbidden ...string) {
	t.Helper()
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, pattern) {
		from, imports, _ := strings.Cut(line, " ")
		for _, dep := range strings.Fields(imports) {
			for _, f := range forbidden {
				if dep == f || strings.HasPrefix(dep, f+"/") {
					t.Errorf("%s imports %s, which is not for it", from, dep)
				}
			}
		}
	}
}

func list(t testing.TB, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}
