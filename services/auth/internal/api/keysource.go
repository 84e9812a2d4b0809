package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// KeySource lets auth's own guard ask the keys themselves, where the other services ask auth.
type KeySource struct {
	Keys *credential.APIKeys
}

// LookUpAPIKey implements apikey.Source.
func (s KeySource) LookUpAPIKey(ctx context.Context, sha256 [32]byte) (apikey.Key, error) {
	k, err := s.Keys.LookUp(ctx, sha256)
	return apikey.Key{
		ID: k.ID, ClientName: k.ClientName, Allowed: k.Allowed, ExpiresAt: k.End, Ended: k.Ended,
		Product:    k.Product,
		Limit:      ratelimit.Limit{PerMinute: k.RateLimit.PerMinute, PerHour: k.RateLimit.PerHour},
		PerAddress: k.RateLimit.Per == apikey.PerAddress,
	}, err
}
