// Package rpc answers what peer services ask auth.
package rpc

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/proto/claims"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// Callers says which service may ask what.
var Callers = rpc.Callers{
	authv1connect.AuthServiceLookUpAPIKeyProcedure:     {"license", "analytics"},
	authv1connect.AuthServiceListPublicKeysProcedure:   {"license"},
	authv1connect.AuthServiceCheckAccessTokenProcedure: {"license"},
	authv1connect.AuthServiceSignOfflineTokenProcedure: {"license"},
}

// Deps is what the handlers work with.
type Deps struct {
	APIKeys     *credential.APIKeys
	Tokens      *credential.Tokens
	SigningKeys *credential.SigningKeys
}

type server struct{ Deps }

// NewHandler returns the path and the handler of AuthService.
func NewHandler(d Deps, opts ...connect.HandlerOption) (string, http.Handler) {
	return authv1connect.NewAuthServiceHandler(server{d}, opts...)
}

// LookUpAPIKey implements authv1connect.AuthServiceHandler.
func (s server) LookUpAPIKey(
	ctx context.Context, req *connect.Request[authv1.LookUpAPIKeyRequest],
) (*connect.Response[authv1.LookUpAPIKeyResponse], error) {
	var hash [32]byte
	if copy(hash[:], req.Msg.Sha256) != len(hash) || len(req.Msg.Sha256) != len(hash) {
		return nil, apierr.InvalidField("sha256", "must have 32 bytes")
	}
	k, err := s.APIKeys.LookUp(ctx, hash)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.LookUpAPIKeyResponse{
		ApiKeyId: k.ID, ClientName: k.ClientName, AllowedEndpoints: k.Allowed,
		RateLimit: &authv1.RateLimit{
			PerMinute: int32(k.RateLimit.PerMinute), PerHour: int32(k.RateLimit.PerHour), Per: k.RateLimit.Per,
		},
		ExpiresAt: event.Timestamp(k.End),
		Ended:     k.Ended,
		Product:   k.Product,
	}), nil
}

// CheckAccessToken implements authv1connect.AuthServiceHandler.
func (s server) CheckAccessToken(
	ctx context.Context, req *connect.Request[authv1.CheckAccessTokenRequest],
) (*connect.Response[authv1.CheckAccessTokenResponse], error) {
	state, err := s.Tokens.UseAccess(ctx, req.Msg.FamilyId, req.Msg.TokenId)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.CheckAccessTokenResponse{Revoked: state.Revoked, Void: state.Void}), nil
}

// SignOfflineToken implements authv1connect.AuthServiceHandler.
func (s server) SignOfflineToken(
	ctx context.Context, req *connect.Request[authv1.SignOfflineTokenRequest],
) (*connect.Response[authv1.SignOfflineTokenResponse], error) {
	signed, err := s.SigningKeys.SignOffline(ctx, credential.Offline{
		TokenID:        req.Msg.TokenId,
		LicenseID:      req.Msg.LicenseId,
		HardwareID:     req.Msg.HardwareId,
		Features:       req.Msg.Features,
		FeaturesUntil:  endsOf(req.Msg.FeaturesUntil),
		IssuedAt:       req.Msg.IssuedAt.AsTime(),
		ExpiresAt:      req.Msg.ExpiresAt.AsTime(),
		LicenseVersion: int(req.Msg.LicenseVersion),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.SignOfflineTokenResponse{Token: signed}), nil
}

func endsOf(ends map[string]*timestamppb.Timestamp) claims.Ends {
	times := make(map[string]time.Time, len(ends))
	for code, at := range ends {
		times[code] = at.AsTime()
	}
	return claims.NewEnds(times)
}

// ListPublicKeys implements authv1connect.AuthServiceHandler.
func (s server) ListPublicKeys(
	ctx context.Context, _ *connect.Request[authv1.ListPublicKeysRequest],
) (*connect.Response[authv1.ListPublicKeysResponse], error) {
	set, err := s.SigningKeys.CurrentKeySet(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.ListPublicKeysResponse{JwksJson: set}), nil
}
