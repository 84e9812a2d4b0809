package storetest

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// offer exchanges a token if its family accepts it.
func offer(ctx context.Context, s Store, of, made credential.RefreshToken) (accepted bool, err error) {
	err = s.Rotate(ctx, of, made, func(f credential.Family) bool {
		accepted = f.RevokedAt.IsZero() && f.Accepts(of.Hash)
		return accepted
	})
	return accepted && err == nil, err
}
