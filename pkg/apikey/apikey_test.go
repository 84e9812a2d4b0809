package apikey_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
)

func TestAllows(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"/api/v1/license", "/api/v1/license", true},
		{"/api/v1/license", "/api/v1/license/validate", true},
		{"/api/v1/license/", "/api/v1/license/validate", true},
		{"/api/v1/license", "/api/v1/licenses", false},
		{"/api/v1/license/validate", "/api/v1/license", false},
		{"/api/v1/license/*", "/api/v1/license/validate", true},
		{"/api/v1/license/*", "/api/v1/license", false},
		{"/api/v1/analytics/*", "/api/v1/analytics/licenses/1/patterns", true},
		{"/api/*/license/*", "/api/v2/license/validate", true},
		{"/api/*/patterns", "/api/v1/analytics/licenses/1/patterns", true},
		{"/api/*/patterns", "/api/v1/analytics/licenses/1/patterns2", false},
		{"*", "/anything", true},
		{"**", "/anything", true},
		{"/", "/anything", true},
		{"", "/anything", true},
		{"/a*b*c", "/axxbxxbc", true},
		{"/a*b*c", "/axxbxxcb", false},
	}
	for _, tt := range tests {
		if got := apikey.Allows([]string{"/other", tt.pattern}, tt.path); got != tt.want {
			t.Errorf("%q covers %q: %v", tt.pattern, tt.path, got)
		}
	}
	if apikey.Allows(nil, "/x") {
		t.Error("no pattern allows something")
	}
}

func FuzzAllows(f *testing.F) {
	f.Add("/a/*/b", "/a/c/b")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if apikey.Allows([]string{pattern}, path) && !strings.ContainsRune(pattern, '*') &&
			!strings.HasPrefix(path, strings.TrimSuffix(pattern, "/")) {
			t.Errorf("%q covers %q", pattern, path)
		}
	})
}
