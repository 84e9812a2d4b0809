package peers

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1/adminv1connect"
)

// admin is a double of the admin service, which knows keys by their hashes.
type admin map[[32]byte]*adminv1.LookUpAdminKeyResponse

// LookUpAdminKey implements adminv1connect.AdminServiceHandler.
func (a admin) LookUpAdminKey(
	_ context.Context, req *connect.Request[adminv1.LookUpAdminKeyRequest],
) (*connect.Response[adminv1.LookUpAdminKeyResponse], error) {
	key, ok := a[[32]byte(req.Msg.Sha256)]
	if !ok {
		return nil, errInvalidAdminKey
	}
	return connect.NewResponse(key), nil
}

// asking is a client of the admin service whose internal handler h is.
func asking(h http.Handler) Admins {
	return Admins{adminv1connect.NewAdminServiceClient(rpc.HTTPClient(httpx.InProcess{"admin": h}), "http://admin",
		rpctest.Client("license", "admin")...)}
}

func TestAuthenticateAdmin(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(adminv1connect.NewAdminServiceHandler(admin{
		secret.Hash("good"): {AdminKeyId: "1", Name: "Ada", Role: "owner"},
		secret.Hash("gone"): {Ended: true},
	}, rpctest.Serve("admin", adminv1.File_latchkey_admin_v1_admin_proto)...))
	admins := asking(mux)
	by, err := admins.Authenticate(t.Context(), "good")
	if err != nil || by.GetId() != "1" || by.GetName() != "Ada" || by.GetRole() != "owner" {
		t.Errorf("a key in force: %v, %v", by, err)
	}
	for name, tt := range map[string]struct {
		admins Admins
		key    string
		kind   apierr.Kind
		ended  bool
	}{
		"unknown":       {admins, "x", apierr.Unauthenticated, false},
		"missing":       {admins, "", apierr.Unauthenticated, false},
		"revoked":       {admins, "gone", apierr.Unauthenticated, true},
		"admin is away": {asking(http.HandlerFunc(away)), "good", apierr.Unavailable, false},
	} {
		by, err := tt.admins.Authenticate(t.Context(), tt.key)
		e := apierr.From(err)
		if by != nil || e == nil || e.Kind != tt.kind || errors.Is(err, secret.ErrEnded) != tt.ended {
			t.Errorf("%s: %v, %v", name, by, err)
		}
	}
}

func away(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
