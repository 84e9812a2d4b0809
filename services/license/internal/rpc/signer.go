package rpc

import (
	"context"

	"connectrpc.com/connect"

	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Signer implements licensing.Signer by asking auth, the only holder of the signing keys.
type Signer struct {
	Auth authv1connect.AuthServiceClient
}

// SignOffline implements licensing.Signer.
func (s Signer) SignOffline(ctx context.Context, t licensing.OfflineToken) (string, error) {
	resp, err := s.Auth.SignOfflineToken(ctx, connect.NewRequest(&authv1.SignOfflineTokenRequest{
		LicenseId: t.LicenseID, HardwareId: t.HardwareID, Features: t.Features, TokenId: t.ID,
		IssuedAt: timestamp(t.IssuedAt), ExpiresAt: timestamp(t.ExpiresAt), LicenseVersion: int32(t.LicenseVersion),
	}))
	if err != nil {
		return "", err
	}
	return resp.Msg.GetToken(), nil
}

// KeySet asks auth for the key set (RFC 7517) that it publishes.
func KeySet(auth authv1connect.AuthServiceClient) func(ctx context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		resp, err := auth.ListPublicKeys(ctx, connect.NewRequest(&authv1.ListPublicKeysRequest{}))
		if err != nil {
			return nil, err
		}
		return resp.Msg.GetJwksJson(), nil
	}
}
