package credential

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

const (
	ringFresh = time.Minute
	ringStale = publishAhead - ringFresh
)

// signingRing is the signing keys in force, in memory. It makes the first key when there is none.
type signingRing struct {
	clock  clock.Clock
	store  SigningStore
	keys   *token.KeyCache[[]SigningKey]
	access *token.Verifier
}

func newSigningRing(d Deps) *signingRing {
	r := &signingRing{clock: d.Clock, store: d.Signing}
	bounds := token.KeyCacheOptions{Clock: d.Clock, Fresh: ringFresh, Stale: ringStale, Link: d.Link}
	r.keys = token.NewKeyCache(bounds, func(ctx context.Context) ([]SigningKey, error) {
		keys, err := r.read(ctx)
		return inForce(keys), err
	})
	r.access = token.NewVerifier(r, d.Clock, claims.AudienceAccess)
	return r
}

// OnEvent forgets the signing keys in memory when they have changed.
func (s *Service) OnEvent(e event.Event) { s.ring.keys.OnEvent(e) }

// OnGap forgets the signing keys in memory: a change may have been missed.
func (s *Service) OnGap() { s.ring.keys.OnGap() }

// read reads all keys, of which at least one is in force, from the store.
func (r *signingRing) read(ctx context.Context) ([]SigningKey, error) {
	keys, err := r.store.SigningKeys(ctx)
	if err == nil && len(inForce(keys)) == 0 {
		keys, err = r.makeFirst(ctx, nextGeneration(keys))
	}
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	return keys, nil
}

// nextGeneration is that of a key to come after keys.
func nextGeneration(keys []SigningKey) int {
	if len(keys) == 0 {
		return 1
	}
	return keys[len(keys)-1].Generation + 1
}

// makeFirst makes a key that signs at once, unless another replica is faster.
func (r *signingRing) makeFirst(ctx context.Context, generation int) ([]SigningKey, error) {
	now := r.clock.Now()
	k, err := newSigningKey(generation, now, now)
	if err != nil {
		return nil, err
	}
	if _, err := r.store.AddSigningKey(ctx, k); err != nil {
		return nil, err
	}
	return r.store.SigningKeys(ctx)
}

// signer is the key that signs now. Whether it was revoked is asked each time, so that no token of a key that was is
// handed out while the event of it is on its way.
func (r *signingRing) signer(ctx context.Context) (SigningKey, error) {
	for {
		keys, err := r.keys.Get(ctx, nil)
		if err != nil {
			return SigningKey{}, err
		}
		k := signer(keys, r.clock.Now())
		stands, err := r.store.SigningKeyStands(ctx, k.ID)
		if err != nil {
			return SigningKey{}, fmt.Errorf("look whether the signing key stands: %w", err)
		}
		if stands {
			return k, nil
		}
		r.keys.Drop()
	}
}

func (r *signingRing) sign(ctx context.Context, c jwt.Claims) (string, error) {
	k, err := r.signer(ctx)
	if err != nil {
		return "", err
	}
	return token.Sign(k.Private, k.ID, c)
}

// PublicKey implements token.KeySet.
func (r *signingRing) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	keys, err := r.keys.Get(ctx, func(keys []SigningKey) bool { return publishedKey(keys, kid, r.clock.Now()) != nil })
	if err != nil {
		return nil, err
	}
	if key := publishedKey(keys, kid, r.clock.Now()); key != nil {
		return key, nil
	}
	return nil, token.Refused("key")
}

// published is the key set, from memory.
func (r *signingRing) published(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	keys, err := r.keys.Get(ctx, nil)
	return published(keys, r.clock.Now()), err
}

// current is the key set as the store has it now.
func (r *signingRing) current(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	keys, err := r.keys.Get(ctx, func([]SigningKey) bool { return false })
	return published(keys, r.clock.Now()), err
}
