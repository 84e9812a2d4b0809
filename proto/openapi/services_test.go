package openapi

import (
	"regexp"
	"strings"
	"testing"
)

// TestServiceOf: every path of a document, those of other vendors' clients too, is known to be of its service.
func TestServiceOf(t *testing.T) {
	for name, document := range map[string][]byte{"auth": Auth, "license": License, "analytics": Analytics,
		"admin": Admin} {
		_, paths, _ := strings.Cut(string(document), "\npaths:\n")
		own := 0
		for _, found := range regexp.MustCompile(`(?m)^  (/\S*):$`).FindAllStringSubmatch(paths, -1) {
			path := found[1]
			service, port := ServiceOf(path)
			own++
			if service != name || port == 0 {
				t.Errorf("%s, of %s, is said to be of %q at %d", path, name, service, port)
			}
		}
		if own == 0 {
			t.Errorf("%s has no path of its own", name)
		}
	}
}
