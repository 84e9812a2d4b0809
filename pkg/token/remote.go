package token

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// remoteFresh is well below the time for which auth publishes a key before signing with it.
const remoteFresh = 5 * time.Minute

// RemoteKeys is the key set that auth publishes, kept in memory, for as long as auth is away too. A kid that is not
// in it has the set fetched again.
type RemoteKeys struct {
	*KeyCache[map[string]ed25519.PublicKey]
}

// NewRemoteKeys makes a key set that is fetched, as JSON (RFC 7517), when first needed. link reports whether auth's
// events arrive.
func NewRemoteKeys(
	fetch func(ctx context.Context) ([]byte, error), c clock.Clock, link cache.Link,
) *RemoteKeys {
	opts := KeyCacheOptions{Clock: c, Fresh: remoteFresh, Link: link}
	return &RemoteKeys{NewKeyCache(opts, func(ctx context.Context) (map[string]ed25519.PublicKey, error) {
		raw, err := fetch(ctx)
		if err != nil {
			return nil, apierr.ErrUnavailable.WithCause(err)
		}
		keys, err := ParseJWKS(raw)
		if err != nil {
			return nil, apierr.ErrInternal.WithCause(err)
		}
		return keys, nil
	})}
}

// PublicKey implements KeySet. Where the key is not known and cannot be asked for, it fails with what fetch failed
// with.
func (r *RemoteKeys) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	keys, err := r.Get(ctx, func(keys map[string]ed25519.PublicKey) bool { return keys[kid] != nil })
	if err != nil {
		return nil, err
	}
	if key := keys[kid]; key != nil {
		return key, nil
	}
	return nil, Refused("key")
}
