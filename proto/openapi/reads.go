package openapi

import "net/http"

// Some operations are not what their method says.
var (
	// readingPosts change nothing. All others that are not GET, HEAD or OPTIONS count as changes.
	readingPosts = map[string]bool{
		"/api/v1/auth/verify":              true,
		"/api/v1/license/validate":         true,
		"/api/v1/license/validate-offline": true,
		"/api/v1/license/users/sign-in":    true, // what it remembers, it can do without
		"/api/v1/admin/licenses/search":    true,
		"/api/v1/admin/explain":            true,
		"/api/v4/oauth/token":              true, // the token is not stored
	}
	// changingGets change something.
	changingGets = map[string]bool{
		"/activate":         true,
		"/api/v4/trial_key": true,
	}
)

// Reads reports whether an operation changes nothing: by its method, and its path as the router has it.
func Reads(method, path string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return !changingGets[path]
	case http.MethodPost:
		return readingPosts[path]
	}
	return false
}
