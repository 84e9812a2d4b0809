package credential

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
)

const (
	keysFresh = time.Minute
	keysStale = publishAhead - keysFresh
)

// SigningKeys signs tokens, publishes the keys that verify them, and replaces and withdraws keys. It keeps
// those in force in memory, and makes the first one when there is none. It is safe for concurrent use.
type SigningKeys struct {
	clock  clock.Clock
	store  SigningStore
	memory *token.KeyCache[[]SigningKey]
}

// NewSigningKeys keeps the keys in a store. link reports whether the events of other processes arrive at OnEvent; nil
// counts as yes.
func NewSigningKeys(s SigningStore, c clock.Clock, link cache.Link) *SigningKeys {
	k := &SigningKeys{clock: c, store: s}
	bounds := token.KeyCacheOptions{Clock: c, Fresh: keysFresh, Stale: keysStale, Link: link}
	k.memory = token.NewKeyCache(bounds, func(ctx context.Context) ([]SigningKey, error) {
		keys, err := k.read(ctx)
		return inForce(keys), err
	})
	return k
}

// OnEvent forgets the signing keys in memory when they have changed.
func (s *SigningKeys) OnEvent(e event.Event) { s.memory.OnEvent(e) }

// OnGap forgets the signing keys in memory: a change may have been missed.
func (s *SigningKeys) OnGap() { s.memory.OnGap() }

// read reads all keys, of which at least one is in force, from the store.
func (s *SigningKeys) read(ctx context.Context) ([]SigningKey, error) {
	keys, err := s.store.SigningKeys(ctx)
	if err == nil && len(inForce(keys)) == 0 {
		keys, err = s.makeFirst(ctx, nextGeneration(keys))
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
func (s *SigningKeys) makeFirst(ctx context.Context, generation int) ([]SigningKey, error) {
	now := s.clock.Now()
	k, err := newSigningKey(generation, now, now)
	if err != nil {
		return nil, err
	}
	if _, err := s.store.AddSigningKey(ctx, k); err != nil {
		return nil, err
	}
	return s.store.SigningKeys(ctx)
}

// signer is the key that signs now. Whether it was revoked is asked each time, so that no token of a key that was is
// handed out while the event of it is on its way.
func (s *SigningKeys) signer(ctx context.Context) (SigningKey, error) {
	for {
		keys, err := s.memory.Get(ctx, nil)
		if err != nil {
			return SigningKey{}, err
		}
		k := signer(keys, s.clock.Now())
		stands, err := s.store.SigningKeyStands(ctx, k.ID)
		if err != nil {
			return SigningKey{}, fmt.Errorf("check whether the signing key is still valid: %w", err)
		}
		if stands {
			return k, nil
		}
		s.memory.Drop()
	}
}

func (s *SigningKeys) sign(ctx context.Context, c jwt.Claims) (string, error) {
	k, err := s.signer(ctx)
	if err != nil {
		return "", err
	}
	return token.Sign(k.Private, k.ID, c)
}

// PublicKey implements token.KeySet.
func (s *SigningKeys) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	keys, err := s.memory.Get(ctx, func(keys []SigningKey) bool {
		return publishedKey(keys, kid, s.clock.Now()) != nil
	})
	if err != nil {
		return nil, err
	}
	if key := publishedKey(keys, kid, s.clock.Now()); key != nil {
		return key, nil
	}
	return nil, token.Refused("key")
}

// published is the key set, from memory.
func (s *SigningKeys) published(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	keys, err := s.memory.Get(ctx, nil)
	return published(keys, s.clock.Now()), err
}

// current is the key set as the store has it now.
func (s *SigningKeys) current(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	keys, err := s.memory.Get(ctx, func([]SigningKey) bool { return false })
	return published(keys, s.clock.Now()), err
}

// KeySet is the published key set as JSON (RFC 7517), from memory.
func (s *SigningKeys) KeySet(ctx context.Context) ([]byte, error) {
	set, err := s.published(ctx)
	if err != nil {
		return nil, err
	}
	return token.EncodeJWKS(set), nil
}

// CurrentKeySet is KeySet as the store has it now, for those who keep it in memory themselves: they ask when they
// have learned of a change that this process may not have learned of yet.
func (s *SigningKeys) CurrentKeySet(ctx context.Context) ([]byte, error) {
	set, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return token.EncodeJWKS(set), nil
}
