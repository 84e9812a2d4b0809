// Package rpc answers what peer services ask admin.
package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1/adminv1connect"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

// Callers says which service may ask what.
var Callers = rpc.Callers{
	adminv1connect.AdminServiceLookUpAdminKeyProcedure: {"license"},
}

type server struct{ keys *adminkey.Registry }

// NewHandler returns the path and the handler of AdminService.
func NewHandler(keys *adminkey.Registry, opts ...connect.HandlerOption) (string, http.Handler) {
	return adminv1connect.NewAdminServiceHandler(server{keys}, opts...)
}

// LookUpAdminKey implements adminv1connect.AdminServiceHandler. It counts no failures: the service that asks has met
// the client, and bounds what its address may guess.
func (s server) LookUpAdminKey(
	ctx context.Context, req *connect.Request[adminv1.LookUpAdminKeyRequest],
) (*connect.Response[adminv1.LookUpAdminKeyResponse], error) {
	var hash [32]byte
	if copy(hash[:], req.Msg.Sha256) != len(hash) || len(req.Msg.Sha256) != len(hash) {
		return nil, apierr.InvalidField("sha256", "must have 32 bytes")
	}
	key, err := s.keys.Store.ByHash(ctx, hash)
	if errors.Is(err, secret.ErrEnded) {
		return connect.NewResponse(&adminv1.LookUpAdminKeyResponse{Ended: true}), nil
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.LookUpAdminKeyResponse{
		AdminKeyId: key.ID, Name: key.Name, Role: string(key.Role),
	}), nil
}
