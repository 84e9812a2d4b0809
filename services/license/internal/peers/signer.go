package peers

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Signer implements licensing.Signer by asking auth, the only holder of the signing keys.
type Signer struct {
	auth authv1connect.AuthServiceClient
}

// SignOffline implements licensing.Signer.
func (s Signer) SignOffline(ctx context.Context, t licensing.OfflineToken) (string, error) {
	until := make(map[string]*timestamppb.Timestamp, len(t.FeaturesUntil))
	for code, at := range t.FeaturesUntil {
		until[code] = timestamppb.New(at)
	}
	resp, err := s.auth.SignOfflineToken(ctx, connect.NewRequest(&authv1.SignOfflineTokenRequest{
		LicenseId:      t.LicenseID,
		HardwareId:     t.HardwareID,
		Features:       t.Features,
		FeaturesUntil:  until,
		TokenId:        t.ID,
		IssuedAt:       timestamppb.New(t.IssuedAt),
		ExpiresAt:      timestamppb.New(t.ExpiresAt),
		LicenseVersion: int32(t.LicenseVersion),
	}))
	if err != nil {
		return "", err
	}
	return resp.Msg.GetToken(), nil
}
