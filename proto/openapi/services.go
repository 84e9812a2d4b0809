package openapi

import "strings"

// services are the services with their usual ports and what their public paths begin with.
var services = []struct {
	name  string
	port  int
	paths []string
}{
	{"auth", 5001, []string{"/api/v1/auth", "/.well-known"}},
	{"license", 5002, []string{"/api/v1/license", "/api/license/v1", "/api/v4", "/slaves", "/activate"}},
	{"analytics", 5003, []string{"/api/v1/analytics"}},
	{"admin", 5004, []string{"/api/v1/admin"}},
}

// ServiceOf tells which service serves a public path, and its usual port; "" for paths that every service has, and for
// those that none has.
func ServiceOf(path string) (service string, port int) {
	for _, s := range services {
		for _, begin := range s.paths {
			if path == begin || strings.HasPrefix(path, begin+"/") {
				return s.name, s.port
			}
		}
	}
	return "", 0
}
