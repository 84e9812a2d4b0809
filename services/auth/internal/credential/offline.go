package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

const (
	// extendBy is the step in which the need for a key is written down, so that this costs one write a day.
	extendBy = 24 * time.Hour
	// maxOffline bounds offline tokens, whatever the asking service says; it allows for clocks that differ.
	maxOffline = claims.MaxOfflineHours*time.Hour + time.Minute
)

// Offline is what an offline token says.
type Offline struct {
	TokenID, LicenseID, HardwareID string
	Features                       []string
	// FeaturesUntil is as in claims.Offline.
	FeaturesUntil       claims.Ends
	IssuedAt, ExpiresAt time.Time
	LicenseVersion      int
}

// SignOffline signs a token that a device checks without the server, and sees to it that its key stays published
// until its end. The license service says when that is: newOfflineToken in its internal/licensing/offline.go.
func (s *SigningKeys) SignOffline(ctx context.Context, o Offline) (string, error) {
	now := s.clock.Now()
	if o.ExpiresAt.After(now.Add(maxOffline)) {
		return "", apierr.ErrInternal.WithCause(
			fmt.Errorf("an offline token lives %d hours at most", claims.MaxOfflineHours))
	}
	if !o.ExpiresAt.After(now) || o.TokenID == "" || o.LicenseID == "" || o.HardwareID == "" {
		return "", apierr.ErrInternal.WithCause(errors.New("an offline token needs ids and an end in the future"))
	}
	k, err := s.signer(ctx)
	if err != nil {
		return "", err
	}
	if o.ExpiresAt.After(k.NeededUntil) {
		if err := s.store.ExtendSigningKey(ctx, k.ID, o.ExpiresAt.Add(extendBy)); err != nil {
			return "", fmt.Errorf("extend signing key: %w", err)
		}
		s.memory.Drop()
	}
	if o.Features == nil {
		o.Features = []string{} // clients get a list, never null
	}
	return token.Sign(k.Private, k.ID, &claims.Offline{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: claims.Issuer, Audience: jwt.ClaimStrings{claims.AudienceOffline}, Subject: o.LicenseID,
			ID:       o.TokenID,
			IssuedAt: jwt.NewNumericDate(o.IssuedAt.Add(-claims.SlowClock)), ExpiresAt: jwt.NewNumericDate(o.ExpiresAt),
		},
		HardwareID:     o.HardwareID,
		Features:       o.Features,
		FeaturesUntil:  o.FeaturesUntil,
		LicenseVersion: o.LicenseVersion,
	})
}
