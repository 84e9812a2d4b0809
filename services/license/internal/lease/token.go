package lease

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

// Tokens signs and checks the proofs of leases. Its keys are made from the master keys, so that all processes have
// the same and no database keeps them: with a new master key comes a new pair, and the old one checks as long as the
// old master key is there.
type Tokens struct {
	current keyring.SigningKey
	public  token.Keys
	clock   clock.Clock
}

// NewTokens makes the keys.
func NewTokens(ring *keyring.Ring, c clock.Clock) *Tokens {
	keys := ring.SigningKeys("lease-token")
	t := &Tokens{current: keys[0], public: token.Keys{}, clock: c}
	for _, k := range keys {
		t.public[k.Name] = k.Key.Public().(ed25519.PublicKey)
	}
	return t
}

// KeySet is the public keys as JSON (RFC 7517).
func (t *Tokens) KeySet() []byte { return token.EncodeJWKS(t.public) }

// signature is what came of signing.
type signature struct {
	token string
	err   error
}

// signing signs the proof of a lease beside the caller, who may want it or not.
func (t *Tokens) signing(g Grant) <-chan signature {
	done := make(chan signature, 1)
	go func() {
		token, err := t.sign(&g)
		done <- signature{token, err}
	}()
	return done
}

// sign proves a lease. The token counts in whole seconds and never outlives the lease, nor the entitlement that it
// claims.
func (t *Tokens) sign(g *Grant) (string, error) {
	l, end := &g.Lease, cut(g.Lease.ExpiresAt, g.entitlementEnd)
	c := claims.Lease{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    claims.Issuer,
			Audience:  jwt.ClaimStrings{claims.AudienceLease},
			Subject:   l.LicenseID,
			ID:        l.ID,
			IssuedAt:  jwt.NewNumericDate(l.LastSeenAt.Add(-claims.SlowClock)),
			ExpiresAt: jwt.NewNumericDate(end.Truncate(time.Second)),
		},
		HardwareID:    l.HardwareID,
		SessionID:     l.SessionID,
		Features:      append([]string{}, g.features...), // never null
		FeaturesUntil: claims.NewEnds(g.featuresUntil),
		Entitlement:   l.Entitlement,
	}
	if !l.BorrowedUntil.IsZero() {
		c.BorrowedUntil = jwt.NewNumericDate(cut(l.BorrowedUntil, end).Truncate(time.Second))
	}
	return token.Sign(t.current.Key, t.current.Name, c)
}

// Proof checks the signature of a lease token. One whose time is over is still the proof of its lease, which tells by
// itself whether it is: the answer to a renewal may have been lost. So is one whose time has not begun by the clock of
// this process, which is not that of the database, and may have been set back. Errors: token.ErrInvalid.
func (t *Tokens) Proof(ctx context.Context, raw string) (Proof, error) {
	var c claims.Lease
	err := token.Verify(ctx, t.public, t.clock, claims.AudienceLease, raw, &c)
	if err != nil && !token.Ended(err) && !token.NotYet(err) {
		return Proof{}, err
	}
	return Proof{LicenseID: c.Subject, LeaseID: c.ID, Holder: Holder{c.HardwareID, c.SessionID}}, nil
}
