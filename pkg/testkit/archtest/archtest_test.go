package archtest_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// spy counts failures instead of failing.
type spy struct {
	testing.TB
	failures int
}

func (s *spy) Helper()               {}
func (s *spy) Errorf(string, ...any) { s.failures++ }

func TestRules(t *testing.T) {
	for forbidden, want := range map[string]int{"os/exec": 1, "os/ex": 0, "database/sql": 0, "example.com": 0} {
		s := &spy{TB: t}
		archtest.Rules(s, ".", forbidden)
		if s.failures != want {
			t.Errorf("%s: %d failures, want %d", forbidden, s.failures, want)
		}
	}
}

func TestImports(t *testing.T) {
	for forbidden, want := range map[string]int{"os/exec": 1, "syscall": 0} {
		s := &spy{TB: t}
		archtest.Imports(s, ".", forbidden)
		if s.failures != want {
			t.Errorf("%s: %d failures, want %d", forbidden, s.failures, want)
		}
	}
}

func TestManagement(t *testing.T) {
	routes := func(names ...string) (all gin.RoutesInfo) {
		for _, name := range names {
			all = append(all, gin.RouteInfo{Method: "GET", Path: name})
		}
		return all
	}
	const things, thing, log = "/api/v1/admin/things", "/api/v1/admin/things/:thing_id", "/api/v1/admin/log"
	fine := archtest.Surface{
		Gateway: routes(things, thing, log, "/healthz"), Own: []string{"GET " + log},
		Owners: map[string]gin.RoutesInfo{"a": routes(things, "/metrics"), "b": routes("/api/v1/admin/things/:id")},
	}
	for name, tt := range map[string]struct {
		edit func(s *archtest.Surface)
		want int
	}{
		"fine": {func(*archtest.Surface) {}, 0},
		"nobody serves it": {func(s *archtest.Surface) { s.Owners = map[string]gin.RoutesInfo{"a": routes(things)} },
			1},
		"two serve it": {func(s *archtest.Surface) {
			s.Owners = map[string]gin.RoutesInfo{"a": routes(things, thing), "b": routes(thing)}
		}, 1},
		"own and served": {func(s *archtest.Surface) {
			s.Owners = map[string]gin.RoutesInfo{"a": routes(things, thing, log)}
		}, 1},
		"hidden": {func(s *archtest.Surface) { s.Gateway = routes(things, log) }, 1},
		"own and not shown": {func(s *archtest.Surface) { s.Own = []string{"GET " + log, "GET /api/v1/admin/nothing"} },
			1},
		"nothing at all": {func(s *archtest.Surface) { *s = archtest.Surface{} }, 1},
	} {
		surface, s := fine, &spy{TB: t}
		tt.edit(&surface)
		archtest.Management(s, surface)
		if s.failures != tt.want {
			t.Errorf("%s: %d failures, want %d", name, s.failures, tt.want)
		}
	}
}
