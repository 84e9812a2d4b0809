package licensefile

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// useRoot is the use of the root, which certifies the other keys and signs nothing else.
const useRoot = "root"

const (
	// keyLife is how long a signing key may sign. Its files are good beyond it, to their own end.
	keyLife = 10 * 365 * 24 * time.Hour
	// renewKeys is how long before its end a signing key is replaced by itself.
	renewKeys = 365 * 24 * time.Hour
	// slowClocks is how far the clocks of other replicas may be behind that of the one which makes a key.
	slowClocks = 5 * time.Minute
	// rootLife is that of the root, which clients pin.
	rootLife = 100 * 365 * 24 * time.Hour
)

// Keys are the use cases of the keys that sign files. They are made when they are first needed.
type Keys struct {
	Store KeyStore
	Clock clock.Clock
}

// Root is the root of this installation.
func (s *Keys) Root(ctx context.Context) (*Key, error) {
	return s.current(ctx, useRoot, "", func(now time.Time) (Key, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return newRoot(private, now), err
	})
}

func newRoot(private ed25519.PrivateKey, now time.Time) Key {
	public := private.Public().(ed25519.PublicKey)
	return Key{
		KID: file.KID(public), Use: useRoot, Private: private, Public: public, NotBefore: now,
		NotAfter: now.Add(rootLife),
	}
}

// ImportRoot makes a key from cold storage the root of an installation that has none yet. Errors: errRootExists.
func (s *Keys) ImportRoot(ctx context.Context, private ed25519.PrivateKey) (*Key, error) {
	wanted := newRoot(private, s.now())
	got, err := s.Store.AddFileKey(ctx, wanted)
	if err == nil && got.KID != wanted.KID {
		err = errRootExists
	}
	return got, err
}

// Listed are the keys that clients may meet, the root first.
func (s *Keys) Listed(ctx context.Context) ([]Key, error) {
	if _, err := s.Root(ctx); err != nil {
		return nil, err
	}
	return s.Store.ListedFileKeys(ctx, s.now())
}

// Delegated is the current key of the tokens of delegated keys. Clients pin it, and tokens have no end, so it lives as
// long as the root.
func (s *Keys) Delegated(ctx context.Context) (*Key, error) {
	return s.current(ctx, file.UseDelegated, "", func(now time.Time) (Key, error) {
		return s.certified(ctx, file.UseDelegated, "", now)
	})
}

// Rotate has a new key sign the files of a product from now on. The one before is published for the overlap; its files
// stay good.
func (s *Keys) Rotate(ctx context.Context, by *licensing.Actor, product string, overlap time.Duration) (*Key, error) {
	before, err := s.signer(ctx, file.UseLicenses, product)
	if err != nil {
		return nil, err
	}
	next, err := s.certified(ctx, file.UseLicenses, product, s.now())
	if err != nil {
		return nil, err
	}
	entry := audit.Entry(by, "product.rotate_signing_key",
		map[string]any{"product": product, "kid": before.KID}, map[string]any{"product": product, "kid": next.KID})
	return &next, s.Store.ReplaceFileKey(ctx, next, s.now().Add(overlap), entry)
}

// IsRoot tells the root from the keys that it certified.
func (k *Key) IsRoot() bool { return k.Use == useRoot }

// signer is the current key of a use and product. Another takes the place of one that is near its end, and of one whose
// time has not begun, because it was made while the clock was ahead: what it signs now nobody would accept.
func (s *Keys) signer(ctx context.Context, use, product string) (*Key, error) {
	k, err := s.current(ctx, use, product, func(now time.Time) (Key, error) {
		return s.certified(ctx, use, product, now)
	})
	now := s.now()
	if err != nil || !now.Before(k.NotBefore) && now.Before(k.NotAfter.Add(-renewKeys)) {
		return k, err
	}
	next, err := s.certified(ctx, use, product, now)
	if err != nil {
		return nil, err
	}
	err = s.Store.ReplaceFileKey(ctx, next, k.NotAfter, nil)
	if errors.Is(err, apierr.ErrMaintenance) && s.now().Before(k.NotAfter) {
		return k, nil // it is renewed early enough to wait for the end of the work
	}
	return &next, err
}

func (s *Keys) current(ctx context.Context, use, product string, create func(time.Time) (Key, error)) (*Key, error) {
	if k, err := s.Store.CurrentFileKey(ctx, use, product); err != nil || k != nil {
		return k, err
	}
	made, err := create(s.now())
	if err != nil {
		return nil, err
	}
	return s.Store.AddFileKey(ctx, made)
}

// certified makes a key with a certificate of the root.
func (s *Keys) certified(ctx context.Context, use, product string, now time.Time) (Key, error) {
	root, err := s.Root(ctx)
	if err != nil {
		return Key{}, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	life := keyLife
	if use == file.UseDelegated {
		life = rootLife
	}
	k := Key{
		KID: file.KID(public), Use: use, Product: product, Private: private, Public: public,
		NotBefore: now.Add(-slowClocks), NotAfter: now.Add(life),
	}
	k.Certificate, err = file.Certify(root.Private, public, file.Certificate{
		Use: use, Product: product, NotBefore: k.NotBefore, NotAfter: k.NotAfter,
	})
	return k, err
}

// now is the time in whole seconds, as certificates and files show it.
func (s *Keys) now() time.Time { return s.Clock.Now().Truncate(time.Second) }

func (k *Key) fileSigner() file.Signer {
	return file.Signer{Certificate: k.Certificate, Key: k.Private}
}
