package token

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	// freshFor is well below the time for which auth publishes a key before signing with it.
	freshFor     = 5 * time.Minute
	refetchEvery = 30 * time.Second
	fetchTimeout = 3 * time.Second
)

// RemoteKeys is the key set that auth publishes, kept in memory. It is replaced as a whole and served, however old, while
// auth is away. An unknown kid has it fetched again, at most every 30 seconds.
type RemoteKeys struct {
	fetch func(ctx context.Context) ([]byte, error)
	clock clock.Clock
	mu    sync.RWMutex
	keys  map[string]ed25519.PublicKey
	got   time.Time // when keys was fetched; zero: never
	gate  sync.Mutex
	tried time.Time // guarded by gate: when a fetch was last tried
}

// NewRemoteKeys makes a key set that is fetched, as JSON (RFC 7517), when first needed.
func NewRemoteKeys(fetch func(ctx context.Context) ([]byte, error), c clock.Clock) *RemoteKeys {
	return &RemoteKeys{fetch: fetch, clock: c}
}

// PublicKey implements KeySet. While there has never been a set it fails with what fetch failed with.
func (r *RemoteKeys) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	key, got := r.lookUp(kid)
	if key != nil && within(freshFor, got, r.clock.Now()) {
		return key, nil
	}
	err := r.refetch(ctx, got)
	if key, got = r.lookUp(kid); key != nil {
		return key, nil
	}
	if got.IsZero() && err != nil {
		return nil, err
	}
	return nil, Refused("key")
}

// within tells whether then was less than d ago. Times from the future are not: the clock was set back.
func within(d time.Duration, then, now time.Time) bool {
	age := now.Sub(then)
	return age >= 0 && age < d
}

func (r *RemoteKeys) lookUp(kid string) (ed25519.PublicKey, time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[kid], r.got
}

// refetch replaces the set unless another caller has just tried. A set that was never there is tried every time.
func (r *RemoteKeys) refetch(ctx context.Context, seen time.Time) error {
	r.gate.Lock()
	defer r.gate.Unlock()
	now := r.clock.Now()
	if _, got := r.lookUp(""); !got.IsZero() && (got.After(seen) || within(refetchEvery, r.tried, now)) {
		return nil
	}
	r.tried = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	raw, err := r.fetch(ctx)
	if err != nil {
		return apierr.ErrUnavailable.Because(err)
	}
	keys, err := ParseJWKS(raw)
	if err != nil {
		return apierr.ErrInternal.Because(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.got = keys, now
	return nil
}
