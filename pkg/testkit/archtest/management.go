package archtest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// Surface is who serves the routes below /api/v1/admin. Routes are named as in "GET /api/v1/admin/audit".
type Surface struct {
	// Gateway is what everybody sees; Owners is what the services serve to the gateway, by their names.
	Gateway gin.RoutesInfo
	Owners  map[string]gin.RoutesInfo
	// Own are the routes that the gateway answers itself.
	Own []string
}

// Management fails t unless each route of the gateway has one implementation: its own, or that of the one owner which
// serves it under the same path, and to which the gateway may add. An owner serves nothing that the gateway does not
// show.
func Management(t testing.TB, s Surface) {
	t.Helper()
	owners := map[string][]string{}
	for name, routes := range s.Owners {
		for route := range managementRoutes(routes) {
			owners[route] = append(owners[route], name)
		}
	}
	shown := managementRoutes(s.Gateway)
	if len(shown) == 0 || len(owners) == 0 {
		t.Errorf("%d routes are shown and %d served", len(shown), len(owners))
	}
	for _, route := range slices.Sorted(maps.Keys(shown)) {
		want := 1
		if slices.ContainsFunc(s.Own, func(own string) bool { return unnamed(own) == route }) {
			want = 0
		}
		if len(owners[route]) != want {
			t.Errorf("%s is served by %q; want %d services beside the gateway", route, owners[route], want)
		}
		delete(owners, route)
	}
	for _, route := range slices.Sorted(maps.Keys(owners)) {
		t.Errorf("%s is served by %q, and the gateway does not show it", route, owners[route])
	}
	for _, route := range s.Own {
		if !shown[unnamed(route)] {
			t.Errorf("%s is not shown", route)
		}
	}
}

// managementRoutes are the routes below /api/v1/admin, whatever their parameters are called.
func managementRoutes(routes gin.RoutesInfo) map[string]bool {
	names := map[string]bool{}
	for _, r := range routes {
		if strings.HasPrefix(r.Path, "/api/v1/admin/") {
			names[unnamed(r.Method+" "+r.Path)] = true
		}
	}
	return names
}

var parameterName = regexp.MustCompile(`:[a-z_]+`)

func unnamed(route string) string { return parameterName.ReplaceAllString(route, ":") }
