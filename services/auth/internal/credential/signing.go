package credential

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

const (
	// publishAhead is how long a new key is published before it signs: twice the time for which others keep the key
	// set.
	publishAhead = 10 * time.Minute
	// keptAfter is how long a key stays published after the last token that it may have signed ended.
	keptAfter = 24 * time.Hour
	// extendBy is the step in which the need for a key is written down, so that this costs one write a day.
	extendBy = 24 * time.Hour
	// maxOffline bounds offline tokens, whatever the asking service says; it allows for clocks that differ.
	maxOffline = claims.MaxOfflineHours*time.Hour + time.Minute
	kidBytes   = 8
)

// SigningKey signs tokens from SignsFrom until the next generation does.
type SigningKey struct {
	// ID is the kid, under which the public half is published.
	ID         string
	Generation int
	Private    ed25519.PrivateKey
	CreatedAt  time.Time
	SignsFrom  time.Time
	// NeededUntil is the latest end of a long-lived token that the key signed; zero: it signed none.
	NeededUntil time.Time
	// RevokedAt is when the key was withdrawn: it signs nothing and no token of it is accepted. Zero: it is in force.
	RevokedAt time.Time
}

func newSigningKey(generation int, now, signsFrom time.Time) (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("make a signing key: %w", err)
	}
	id := make([]byte, kidBytes)
	if _, err := rand.Read(id); err != nil {
		return SigningKey{}, fmt.Errorf("name a signing key: %w", err)
	}
	return SigningKey{
		ID:         hex.EncodeToString(id),
		Generation: generation,
		Private:    private,
		CreatedAt:  now,
		SignsFrom:  signsFrom,
	}, nil
}

// public is the second half of the private key, as crypto/ed25519 has it. It is for reading.
func (k SigningKey) public() ed25519.PublicKey {
	return ed25519.PublicKey(k.Private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// inForce leaves the revoked keys out.
func inForce(keys []SigningKey) []SigningKey {
	var kept []SigningKey
	for _, k := range keys {
		if k.RevokedAt.IsZero() {
			kept = append(kept, k)
		}
	}
	return kept
}

// signer is the newest key whose time has come. keys are in the order of their generations, at least one, none of
// them revoked.
func signer(keys []SigningKey, now time.Time) SigningKey {
	for i := len(keys) - 1; i > 0; i-- {
		if !keys[i].SignsFrom.After(now) {
			return keys[i]
		}
	}
	return keys[0]
}

// published are the keys that a token in force may name: all that have not been replaced for longer than their tokens
// live.
func published(keys []SigningKey, now time.Time) map[string]ed25519.PublicKey {
	set := map[string]ed25519.PublicKey{}
	for i, k := range keys {
		if isPublished(keys, i, now) {
			set[k.ID] = k.public()
		}
	}
	return set
}

// publishedKey is the key of published that is named kid, nil when there is none.
func publishedKey(keys []SigningKey, kid string, now time.Time) ed25519.PublicKey {
	for i, k := range keys {
		if k.ID == kid && isPublished(keys, i, now) {
			return k.public()
		}
	}
	return nil
}

func isPublished(keys []SigningKey, i int, now time.Time) bool {
	return i+1 == len(keys) || !now.After(needed(keys[i], keys[i+1]).Add(keptAfter))
}

// needed is when the last token of k ends at the latest.
func needed(k, next SigningKey) time.Time {
	end := next.SignsFrom.Add(AccessFor)
	if k.NeededUntil.After(end) {
		return k.NeededUntil
	}
	return end
}

// Offline is what an offline token says.
type Offline struct {
	TokenID, LicenseID, HardwareID string
	Features                       []string
	IssuedAt, ExpiresAt            time.Time
	LicenseVersion                 int
}

// SignOffline signs a token that a device checks without the server, and sees to it that its key stays published
// until then.
func (s *Service) SignOffline(ctx context.Context, o Offline) (string, error) {
	now := s.Clock.Now()
	if o.ExpiresAt.After(now.Add(maxOffline)) {
		return "", apierr.ErrInternal.WithCause(
			fmt.Errorf("an offline token lives %d hours at most", claims.MaxOfflineHours))
	}
	if !o.ExpiresAt.After(now) || o.TokenID == "" || o.LicenseID == "" || o.HardwareID == "" {
		return "", apierr.ErrInternal.WithCause(errors.New("an offline token needs ids and an end in the future"))
	}
	k, err := s.ring.signer(ctx)
	if err != nil {
		return "", err
	}
	if o.ExpiresAt.After(k.NeededUntil) {
		if err := s.Signing.ExtendSigningKey(ctx, k.ID, o.ExpiresAt.Add(extendBy)); err != nil {
			return "", fmt.Errorf("extend signing key: %w", err)
		}
		s.ring.keys.Drop()
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
		LicenseVersion: o.LicenseVersion,
	})
}

// KeySet is the published key set as JSON (RFC 7517), from memory.
func (s *Service) KeySet(ctx context.Context) ([]byte, error) {
	set, err := s.ring.published(ctx)
	if err != nil {
		return nil, err
	}
	return token.EncodeJWKS(set), nil
}

// CurrentKeySet is KeySet as the store has it now, for those who keep it in memory themselves: they ask when they
// have heard of a change that this process may not have heard of yet.
func (s *Service) CurrentKeySet(ctx context.Context) ([]byte, error) {
	set, err := s.ring.current(ctx)
	if err != nil {
		return nil, err
	}
	return token.EncodeJWKS(set), nil
}
