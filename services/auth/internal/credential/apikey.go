package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	keyPrefix       = "sk_"
	maxGrace        = 30 * 24 * time.Hour
	maxGraceSeconds = int(maxGrace / time.Second)
)

// RateLimit is the allowance of a key; 0 means no limit in that window. Its defaults are in apikey_members.go, and who
// spends it is pkg/apikey (guard.go).
type RateLimit struct {
	PerMinute, PerHour int
	// Per is "key", or "address" where each client address has the allowance for itself.
	Per string
}

// APIKey identifies a client application of the vendor. Its secrets are kept apart, as hashes.
type APIKey struct {
	ID         string
	ClientName string
	// Allowed are paths, each covering what lies below it, or globs with *.
	Allowed   []string
	RateLimit RateLimit
	// Product is the code of the product to whose licenses the key is bound, empty for all.
	Product   string
	CreatedAt time.Time
	// ExpiresAt zero: never.
	ExpiresAt time.Time
	// RevokedAt zero: in force.
	RevokedAt time.Time
}

// KeySecret is one secret of a key; a rotated key has two for a while.
type KeySecret struct {
	Hash      [32]byte
	CreatedAt time.Time
	// ExpiresAt zero: as long as the key.
	ExpiresAt time.Time
}

// APIKeys are the use cases of API keys: they are made, changed, ended and found. It is safe for concurrent use. Owners
// may, through admin, and whoever has the admin secret (package manage); which endpoints a key may call when nothing is
// said is in apikey_members.go.
type APIKeys struct {
	Store KeyStore
	Clock clock.Clock
}

// Create makes a key and returns its secret, which is never seen again.
func (s *APIKeys) Create(ctx context.Context, by *Actor, n NewAPIKey) (APIKey, string, error) {
	now := s.Clock.Now()
	if err := n.validate(now); err != nil {
		return APIKey{}, "", err
	}
	id, err := newID()
	if err != nil {
		return APIKey{}, "", err
	}
	k, text := n.key(id, now), secret.New(keyPrefix)
	created := &eventsv1.ApiKeyCreated{
		ApiKeyId:         k.ID,
		ClientName:       k.ClientName,
		AllowedEndpoints: k.Allowed,
		ExpiresAt:        event.Timestamp(k.ExpiresAt),
		Product:          k.Product,
	}
	records := []Record{{k.ID, created}, audited(by, "api_key.create", k.ID, nil, k.auditView())}
	if err := s.Store.CreateKey(ctx, k, KeySecret{Hash: secret.Hash(text), CreatedAt: now}, records...); err != nil {
		return APIKey{}, "", fmt.Errorf("create API key: %w", err)
	}
	return k, text, nil
}

// Update changes a key, for all of its secrets, and returns it as it is now. A patch that changes nothing
// publishes nothing. An id that names no key in force is ErrAPIKeyNotFound.
func (s *APIKeys) Update(ctx context.Context, by *Actor, id string, p APIKeyPatch) (APIKey, error) {
	now := s.Clock.Now()
	if err := p.validate(now); err != nil {
		return APIKey{}, err
	}
	id, ok := uid.Parse(id)
	if !ok {
		return APIKey{}, ErrAPIKeyNotFound
	}
	var k APIKey
	err := s.Store.UpdateKey(ctx, id, now, func(before APIKey) (APIKey, []Record) {
		k = p.apply(before)
		was, is := audit.Changes(before.auditView(), k.auditView())
		if len(is) == 0 {
			return k, nil
		}
		was["api_key_id"], is["api_key_id"] = k.ID, k.ID // nothing else in the entry names the key
		return k, []Record{{k.ID, &eventsv1.ApiKeyUpdated{ApiKeyId: k.ID}},
			audited(by, "api_key.update", k.ID, was, is)}
	})
	if err != nil {
		return APIKey{}, fmt.Errorf("update API key: %w", err)
	}
	return k, nil
}

// Revoke ends a key at once and returns when. An id that names no key in force is ErrAPIKeyNotFound.
func (s *APIKeys) Revoke(ctx context.Context, by *Actor, id string) (time.Time, error) {
	id, ok := uid.Parse(id)
	if !ok {
		return time.Time{}, ErrAPIKeyNotFound
	}
	now := s.Clock.Now()
	err := s.Store.RevokeKey(ctx, id, now, func(k APIKey) []Record {
		return []Record{{k.ID, &eventsv1.ApiKeyRevoked{ApiKeyId: k.ID}},
			audited(by, "api_key.revoke", k.ID, k.auditView(), nil)}
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("revoke API key: %w", err)
	}
	return now, nil
}

// Rotate gives a key a new secret, which is returned. Its old one lives for grace seconds more.
func (s *APIKeys) Rotate(
	ctx context.Context, by *Actor, id string, graceSeconds int,
) (APIKey, string, time.Time, error) {
	id, ok := uid.Parse(id)
	if graceSeconds < 0 || graceSeconds > maxGraceSeconds {
		return APIKey{}, "", time.Time{}, apierr.InvalidField("grace_seconds",
			fmt.Sprintf("must be from 0 to %d", maxGraceSeconds))
	}
	if !ok {
		return APIKey{}, "", time.Time{}, ErrAPIKeyNotFound
	}
	now := s.Clock.Now()
	oldEnd, text := now.Add(time.Duration(graceSeconds)*time.Second), secret.New(keyPrefix)
	k, err := s.Store.RotateKey(ctx, id, KeySecret{
		Hash:      secret.Hash(text),
		CreatedAt: now,
	}, oldEnd, func(k APIKey) []Record {
		after := map[string]any{"api_key_id": k.ID, "old_secret_expires_at": rfc3339(oldEnd)}
		return []Record{
			{k.ID, &eventsv1.ApiKeyRotated{ApiKeyId: k.ID, OldExpiresAt: event.Timestamp(oldEnd)}},
			audited(by, "api_key.rotate", k.ID, nil, after),
		}
	})
	if err != nil {
		return APIKey{}, "", time.Time{}, fmt.Errorf("rotate API key: %w", err)
	}
	return k, text, oldEnd, nil
}

// FoundKey is the key of a secret.
type FoundKey struct {
	APIKey
	// End is when the secret ends or ended; zero: never.
	End time.Time
	// Ended says that the secret is refused: it is revoked, replaced or expired.
	Ended bool
}

// LookUp finds the key of a secret by the secret's SHA-256. Unknown is ErrInvalidAPIKey.
func (s *APIKeys) LookUp(ctx context.Context, hash [32]byte) (FoundKey, error) {
	k, secret, err := s.Store.KeyBySecret(ctx, hash)
	if errors.Is(err, ErrAPIKeyNotFound) {
		return FoundKey{}, ErrInvalidAPIKey
	}
	if err != nil {
		return FoundKey{}, fmt.Errorf("look up API key: %w", err)
	}
	end := clock.Earlier(clock.Earlier(k.ExpiresAt, secret.ExpiresAt), k.RevokedAt)
	ended := !k.RevokedAt.IsZero() || !end.IsZero() && !s.Clock.Now().Before(end)
	return FoundKey{APIKey: k, End: end, Ended: ended}, nil
}
