package rpctest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// CheckCallers asks every procedure of the named service, those of file, as each of the four services and as one with
// an unknown key. want says, by name of the procedure, who may.
func CheckCallers(
	t *testing.T, h http.Handler, service string, file protoreflect.FileDescriptor, want map[string][]string,
) {
	t.Helper()
	procedures := Procedures(file)
	if len(procedures) != len(want) {
		t.Errorf("%d procedures, and %d in the table", len(procedures), len(want))
	}
	for _, procedure := range procedures {
		allowed := want[path.Base(procedure)]
		for _, caller := range app.Services() {
			if got := ask(t, h, Identity(caller), service, procedure); got != slices.Contains(allowed, caller) {
				t.Errorf("%s by %s: admitted is %v", procedure, caller, got)
			}
			if ask(t, h, rpc.NewIdentity(caller), service, procedure) {
				t.Errorf("%s by %s with an unknown key is admitted", procedure, caller)
			}
		}
	}
}

// ask sends an empty message and reports whether the service looked at it.
func ask(t *testing.T, h http.Handler, id rpc.Identity, service, procedure string) bool {
	client := connect.NewClient[emptypb.Empty, emptypb.Empty](rpc.HTTPClient(httpx.InProcess{service: h}),
		"http://"+service+procedure, rpc.NewClientOptions(id, service)...)
	_, err := client.CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return true
	}
	return refused.Code() != connect.CodeUnauthenticated && refused.Code() != connect.CodePermissionDenied
}

// CheckManagement asks every route of h below /api/v1/admin, which the named service answers to admin, as each of the
// four services. Only admin is admitted, and only where it says who asks: anybody else could name whom it likes.
func CheckManagement(t *testing.T, h *gin.Engine, service string) {
	t.Helper()
	checked := 0
	for _, route := range h.Routes() {
		if !strings.HasPrefix(route.Path, "/api/v1/admin/") {
			continue
		}
		checked++
		for _, caller := range app.Services() {
			for _, by := range []*rpc.Actor{nil, {Name: "without an id"}, {Id: "somebody"}} {
				want := caller == "admin" && by.GetId() != ""
				if got := manages(t, h, rpcCall{Identity(caller), service, route, by}); got != want {
					t.Errorf("%s %s by %s in the name of %v: admitted is %v", route.Method, route.Path, caller, by, got)
				}
			}
		}
		if manages(t, h, rpcCall{rpc.NewIdentity("admin"), service, route, &rpc.Actor{Id: "somebody"}}) {
			t.Errorf("%s %s with an unknown key is admitted", route.Method, route.Path)
		}
	}
	if checked == 0 {
		t.Error("there are no routes of management")
	}
}

// rpcCall is one request to a route of management.
type rpcCall struct {
	id      rpc.Identity
	service string
	route   gin.RouteInfo
	by      *rpc.Actor
}

// manages reports whether the service looked at the request.
func manages(t *testing.T, h http.Handler, call rpcCall) bool {
	seen := 0
	watched := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		seen = rec.Code
		w.WriteHeader(rec.Code)
	})
	client := rpc.HTTPClient(httpx.InProcess{call.service: watched})
	to := rpc.NewGateway(call.id, call.service, "http://"+call.service, client)
	front := httpx.NewEngine(httpx.Options{Service: "admin"})
	front.NoRoute(httpx.Wrap(func(c *gin.Context) error { return to.Forward(c, call.by) }))
	req := httptest.NewRequestWithContext(t.Context(), call.route.Method, call.route.Path, nil)
	front.ServeHTTP(httptest.NewRecorder(), req)
	return seen != http.StatusUnauthorized
}
