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
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

const (
	// publishAhead is how long a new key is published before it signs: twice the time for which others keep the key set.
	publishAhead = 10 * time.Minute
	// keptAfter is how long a key stays published after the last token that it may have signed ended.
	keptAfter = 24 * time.Hour
	// extendBy is the step in which the need for a key is written down, so that this costs one write a day.
	extendBy = 24 * time.Hour
	// maxOffline bounds offline tokens, whatever the asking service says; it allows for clocks that differ.
	maxOffline  = claims.MaxOfflineHours*time.Hour + time.Minute
	ringFresh   = time.Minute
	ringStale   = publishAhead - ringFresh
	kidBytes    = 8
	firstSigner = 1
)

// ErrRotationUnderWay says that another rotation came first.
var ErrRotationUnderWay = errors.New("another rotation of the signing key has just taken place; look at the key set before you try again")

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
	return SigningKey{ID: hex.EncodeToString(id), Generation: generation, Private: private, CreatedAt: now, SignsFrom: signsFrom}, nil
}

func (k SigningKey) public() ed25519.PublicKey { return k.Private.Public().(ed25519.PublicKey) }

// signer is the newest key whose time has come. keys are in the order of their generations, at least one.
func signer(keys []SigningKey, now time.Time) SigningKey {
	for i := len(keys) - 1; i > 0; i-- {
		if !keys[i].SignsFrom.After(now) {
			return keys[i]
		}
	}
	return keys[0]
}

// published are the keys that a token in force may name: all that have not been replaced for longer than their tokens live.
func published(keys []SigningKey, now time.Time) map[string]ed25519.PublicKey {
	set := map[string]ed25519.PublicKey{}
	for i, k := range keys {
		if i+1 < len(keys) && now.After(needed(k, keys[i+1]).Add(keptAfter)) {
			continue
		}
		set[k.ID] = k.public()
	}
	return set
}

// needed is when the last token of k ends at the latest.
func needed(k, next SigningKey) time.Time {
	end := next.SignsFrom.Add(AccessFor)
	if k.NeededUntil.After(end) {
		return k.NeededUntil
	}
	return end
}

// signingRing is the signing keys in memory. It makes the first key when there is none.
type signingRing struct {
	clock  clock.Clock
	store  SigningStore
	keys   *cache.Cache[struct{}, []SigningKey]
	access *token.Verifier
}

func newSigningRing(c clock.Clock, store SigningStore) *signingRing {
	r := &signingRing{clock: c, store: store}
	r.keys = cache.New[struct{}, []SigningKey](cache.Options{Capacity: 1, TTL: ringFresh, Stale: ringStale}, c)
	r.access = token.NewVerifier(r, c, claims.AudienceAccess)
	return r
}

// PublicKey implements token.KeySet.
func (r *signingRing) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	keys, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if public, ok := published(keys, r.clock.Now())[kid]; ok {
		return public, nil
	}
	return nil, token.Refused("key")
}

func (r *signingRing) load(ctx context.Context) ([]SigningKey, error) {
	keys, _, err := r.keys.Fetch(ctx, struct{}{}, func(ctx context.Context) ([]SigningKey, error) {
		keys, err := r.store.SigningKeys(ctx)
		if err != nil || len(keys) > 0 {
			return keys, err
		}
		return r.makeFirst(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	return keys, nil
}

// makeFirst makes the first key, unless another replica is faster.
func (r *signingRing) makeFirst(ctx context.Context) ([]SigningKey, error) {
	now := r.clock.Now()
	k, err := newSigningKey(firstSigner, now, now)
	if err != nil {
		return nil, err
	}
	if _, err := r.store.AddSigningKey(ctx, k); err != nil {
		return nil, err
	}
	return r.store.SigningKeys(ctx)
}

func (r *signingRing) sign(ctx context.Context, c jwt.Claims) (string, error) {
	keys, err := r.load(ctx)
	if err != nil {
		return "", err
	}
	k := signer(keys, r.clock.Now())
	return token.Sign(k.Private, k.ID, c)
}

// Offline is what an offline token says.
type Offline struct {
	TokenID, LicenseID, HardwareID string
	Features                       []string
	IssuedAt, ExpiresAt            time.Time
	LicenseVersion                 int
}

// SignOffline signs a token that a device checks without the server, and sees to it that its key stays published until then.
func (s *Service) SignOffline(ctx context.Context, o Offline) (string, error) {
	now := s.Clock.Now()
	if o.ExpiresAt.After(now.Add(maxOffline)) {
		return "", apierr.ErrInternal.Because(fmt.Errorf("an offline token lives %d hours at most", claims.MaxOfflineHours))
	}
	if !o.ExpiresAt.After(now) || o.TokenID == "" || o.LicenseID == "" || o.HardwareID == "" {
		return "", apierr.ErrInternal.Because(errors.New("an offline token needs ids and an end in the future"))
	}
	keys, err := s.ring.load(ctx)
	if err != nil {
		return "", err
	}
	k := signer(keys, now)
	if o.ExpiresAt.After(k.NeededUntil) {
		if err := s.Signing.ExtendSigningKey(ctx, k.ID, o.ExpiresAt.Add(extendBy)); err != nil {
			return "", fmt.Errorf("extend signing key: %w", err)
		}
		s.ring.keys.DropAll()
	}
	if o.Features == nil {
		o.Features = []string{} // clients get a list, never null
	}
	return token.Sign(k.Private, k.ID, &claims.Offline{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: claims.Issuer, Audience: jwt.ClaimStrings{claims.AudienceOffline}, Subject: o.LicenseID, ID: o.TokenID,
			IssuedAt: jwt.NewNumericDate(o.IssuedAt.Add(-claims.SlowClock)), ExpiresAt: jwt.NewNumericDate(o.ExpiresAt),
		},
		HardwareID: o.HardwareID, Features: o.Features, LicenseVersion: o.LicenseVersion,
	})
}

// KeySet is the published key set as JSON (RFC 7517).
func (s *Service) KeySet(ctx context.Context) ([]byte, error) {
	keys, err := s.ring.load(ctx)
	if err != nil {
		return nil, err
	}
	return token.EncodeJWKS(published(keys, s.Clock.Now())), nil
}

// RotateSigningKey adds a key and returns it. It is published at once and signs from SignsFrom on.
func (s *Service) RotateSigningKey(ctx context.Context, by *Actor) (SigningKey, error) {
	keys, err := s.ring.load(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	now, last := s.Clock.Now(), keys[len(keys)-1]
	k, err := newSigningKey(last.Generation+1, now, now.Add(publishAhead))
	if err != nil {
		return SigningKey{}, err
	}
	rotated := audit(by, "signing_key.rotate", k.ID, map[string]any{"kid": last.ID}, map[string]any{"kid": k.ID, "signs_from": rfc3339(k.SignsFrom)})
	added, err := s.Signing.AddSigningKey(ctx, k, rotated)
	if err != nil {
		return SigningKey{}, fmt.Errorf("add signing key: %w", err)
	}
	s.ring.keys.DropAll()
	if !added {
		return SigningKey{}, ErrRotationUnderWay
	}
	return k, nil
}
