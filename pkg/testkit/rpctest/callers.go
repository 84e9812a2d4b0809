package rpctest

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// CheckCallers asks every procedure of the named service, those of file, as each of the four services and as one with an unknown
// key. want says, by name of the procedure, who may. What takes an Actor may be for admin alone: anybody else could name whom
// it likes.
func CheckCallers(t *testing.T, h http.Handler, service string, file protoreflect.FileDescriptor, want map[string][]string) {
	t.Helper()
	procedures := Procedures(file)
	if len(procedures) != len(want) {
		t.Errorf("%d procedures, and %d in the table", len(procedures), len(want))
	}
	for _, procedure := range procedures {
		allowed := want[path.Base(procedure)]
		if takesActor(file, procedure) && !slices.Equal(allowed, []string{"admin"}) {
			t.Errorf("%s takes an Actor and is for %v", procedure, allowed)
		}
		for _, caller := range Services {
			if got := ask(t, h, Identity(caller), service, procedure); got != slices.Contains(allowed, caller) {
				t.Errorf("%s by %s: admitted is %v", procedure, caller, got)
			}
			if ask(t, h, rpc.NewIdentity(caller), service, procedure) {
				t.Errorf("%s by %s with an unknown key is admitted", procedure, caller)
			}
		}
	}
}

// ask sends an empty message and tells whether the service looked at it.
func ask(t *testing.T, h http.Handler, id rpc.Identity, service, procedure string) bool {
	client := connect.NewClient[emptypb.Empty, emptypb.Empty](rpc.HTTPClient(httpx.InProcess{service: h}), "http://"+service+procedure,
		rpc.NewClientOptions(id, service)...)
	_, err := client.CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return true
	}
	return refused.Code() != connect.CodeUnauthenticated && refused.Code() != connect.CodePermissionDenied
}

func takesActor(file protoreflect.FileDescriptor, procedure string) bool {
	actor := (&rpcv1.Actor{}).ProtoReflect().Descriptor().FullName()
	for i := range file.Services().Len() {
		method := file.Services().Get(i).Methods().ByName(protoreflect.Name(path.Base(procedure)))
		if method == nil {
			continue
		}
		for j := range method.Input().Fields().Len() {
			if m := method.Input().Fields().Get(j).Message(); m != nil && m.FullName() == actor {
				return true
			}
		}
	}
	return false
}
