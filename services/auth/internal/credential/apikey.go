package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	keyPrefix       = "sk_"
	maxName         = 255
	maxEndpoints    = 100
	maxLimit        = 1_000_000_000
	maxGrace        = 30 * 24 * time.Hour
	defaultMinute   = 60
	defaultHour     = 1000
	perKey          = "key"
	perAddress      = "address"
	maxGraceSeconds = int(maxGrace / time.Second)
)

// RateLimit is the allowance of a key; 0 means none in that window.
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

// NewAPIKey is what an administrator asks for. Nil members take their defaults, and so does an empty list.
type NewAPIKey struct {
	ClientName string
	Allowed    []string
	PerMinute  *int
	PerHour    *int
	Per        *string
	ExpiresAt  *time.Time
}

// defaultEndpoints is what an application needs that leaves the vendor's hands: no analytics.
func defaultEndpoints() []string { return []string{"/api/v1/license/*", "/api/v1/auth/token"} }

// validate names everything that is wrong, by member.
func (n NewAPIKey) validate(now time.Time) error {
	wrong := n.wrong(now)
	if strings.TrimSpace(n.ClientName) == "" {
		wrong["client_name"] = "is required"
	}
	return invalid(wrong)
}

// wrong is what is wrong with the members that are given.
func (n NewAPIKey) wrong(now time.Time) map[string]string {
	wrong := map[string]string{}
	if utf8.RuneCountInString(n.ClientName) > maxName {
		wrong["client_name"] = fmt.Sprintf("must have at most %d characters", maxName)
	}
	if len(n.Allowed) > maxEndpoints {
		wrong["allowed_endpoints"] = fmt.Sprintf("must have at most %d entries", maxEndpoints)
	}
	for i, p := range n.Allowed {
		if !strings.HasPrefix(p, "/") && p != "*" || len(p) > maxName {
			wrong[fmt.Sprintf("allowed_endpoints[%d]", i)] = fmt.Sprintf(
				"must be \"*\", or a path or glob that begins with / and has at most %d characters", maxName)
		}
	}
	for name, limit := range map[string]*int{"rate_limit.per_minute": n.PerMinute, "rate_limit.per_hour": n.PerHour} {
		if limit != nil && (*limit < 0 || *limit > maxLimit) {
			wrong[name] = fmt.Sprintf("must be from 0 (no limit) to %d", maxLimit)
		}
	}
	if n.Per != nil && *n.Per != perKey && *n.Per != perAddress {
		wrong["rate_limit.per"] = `must be "key" or "address"`
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(now) {
		wrong["expires_at"] = "must be in the future"
	}
	return wrong
}

func invalid(wrong map[string]string) error {
	if len(wrong) > 0 {
		return apierr.InvalidFields(wrong)
	}
	return nil
}

// key is the key that was asked for, defaults filled in. One without endpoints of its own is for an application that is
// given to customers: each of them has its allowance, so that none uses up another's.
func (n NewAPIKey) key(id string, now time.Time) APIKey {
	k := APIKey{ID: id, ClientName: n.ClientName, Allowed: n.Allowed, CreatedAt: now}
	k.RateLimit = RateLimit{
		PerMinute: or(n.PerMinute, defaultMinute),
		PerHour:   or(n.PerHour, defaultHour),
		Per:       or(n.Per, perKey),
	}
	if len(k.Allowed) == 0 {
		k.Allowed, k.RateLimit.Per = defaultEndpoints(), or(n.Per, perAddress)
	}
	if n.ExpiresAt != nil {
		k.ExpiresAt = end(*n.ExpiresAt)
	}
	return k
}

// end is a time as the store keeps it.
func end(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

// CreateAPIKey makes a key and returns its secret, which is never seen again.
func (s *Service) CreateAPIKey(ctx context.Context, by *Actor, n NewAPIKey) (APIKey, string, error) {
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
		ExpiresAt:        timestamp(k.ExpiresAt),
	}
	records := []Record{{k.ID, created}, audited(by, "api_key.create", k.ID, nil, k.audited())}
	if err := s.Keys.CreateKey(ctx, k, KeySecret{Hash: secret.Hash(text), CreatedAt: now}, records...); err != nil {
		return APIKey{}, "", fmt.Errorf("create API key: %w", err)
	}
	return k, text, nil
}

// APIKeys lists the keys in force, newest first.
func (s *Service) APIKeys(ctx context.Context) ([]APIKey, error) {
	keys, err := s.Keys.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return keys, nil
}

// APIKeyPatch is what changes of a key; nil members stay.
type APIKeyPatch struct {
	ClientName *string
	// Allowed empty: what an application needs that is given to customers, and Per "address" unless it is given.
	Allowed   *[]string
	PerMinute *int
	PerHour   *int
	Per       *string
	// ExpiresAt zero: never.
	ExpiresAt *time.Time
}

func (p APIKeyPatch) validate(now time.Time) error {
	n := NewAPIKey{
		ClientName: or(p.ClientName, ""),
		Allowed:    or(p.Allowed, nil),
		PerMinute:  p.PerMinute,
		PerHour:    p.PerHour,
		Per:        p.Per,
	}
	if p.ExpiresAt != nil && !p.ExpiresAt.IsZero() {
		n.ExpiresAt = p.ExpiresAt
	}
	wrong := n.wrong(now)
	if p.ClientName != nil && strings.TrimSpace(*p.ClientName) == "" {
		wrong["client_name"] = "must not be empty"
	}
	return invalid(wrong)
}

func (p APIKeyPatch) apply(k APIKey) APIKey {
	k.ClientName, k.Allowed = or(p.ClientName, k.ClientName), or(p.Allowed, k.Allowed)
	l := k.RateLimit
	if len(k.Allowed) == 0 {
		k.Allowed, l.Per = defaultEndpoints(), perAddress // as in key
	}
	k.RateLimit = RateLimit{
		PerMinute: or(p.PerMinute, l.PerMinute),
		PerHour:   or(p.PerHour, l.PerHour),
		Per:       or(p.Per, l.Per),
	}
	if p.ExpiresAt != nil {
		k.ExpiresAt = end(*p.ExpiresAt)
	}
	return k
}

// UpdateAPIKey changes a key, for all of its secrets, and returns it as it is now. A patch that changes nothing
// publishes nothing. An id that names no key in force is ErrAPIKeyNotFound.
func (s *Service) UpdateAPIKey(ctx context.Context, by *Actor, id string, p APIKeyPatch) (APIKey, error) {
	now := s.Clock.Now()
	if err := p.validate(now); err != nil {
		return APIKey{}, err
	}
	id, ok := canonicalID(id)
	if !ok {
		return APIKey{}, ErrAPIKeyNotFound
	}
	var k APIKey
	err := s.Keys.UpdateKey(ctx, id, now, func(before APIKey) (APIKey, []Record) {
		k = p.apply(before)
		was, is := audit.Changes(before.audited(), k.audited())
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

// RevokeAPIKey ends a key at once and returns when. An id that names no key in force is ErrAPIKeyNotFound.
func (s *Service) RevokeAPIKey(ctx context.Context, by *Actor, id string) (time.Time, error) {
	id, ok := canonicalID(id)
	if !ok {
		return time.Time{}, ErrAPIKeyNotFound
	}
	now := s.Clock.Now()
	err := s.Keys.RevokeKey(ctx, id, now, func(k APIKey) []Record {
		return []Record{{k.ID, &eventsv1.ApiKeyRevoked{ApiKeyId: k.ID}},
			audited(by, "api_key.revoke", k.ID, k.audited(), nil)}
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("revoke API key: %w", err)
	}
	return now, nil
}

// RotateAPIKey gives a key a new secret, which is returned. Its old one lives for grace seconds more.
func (s *Service) RotateAPIKey(
	ctx context.Context, by *Actor, id string, graceSeconds int,
) (APIKey, string, time.Time, error) {
	id, ok := canonicalID(id)
	if graceSeconds < 0 || graceSeconds > maxGraceSeconds {
		return APIKey{}, "", time.Time{}, apierr.InvalidField("grace_seconds",
			fmt.Sprintf("must be from 0 to %d", maxGraceSeconds))
	}
	if !ok {
		return APIKey{}, "", time.Time{}, ErrAPIKeyNotFound
	}
	now := s.Clock.Now()
	oldEnd, text := now.Add(time.Duration(graceSeconds)*time.Second), secret.New(keyPrefix)
	k, err := s.Keys.RotateKey(ctx, id, KeySecret{
		Hash:      secret.Hash(text),
		CreatedAt: now,
	}, oldEnd, func(k APIKey) []Record {
		after := map[string]any{"api_key_id": k.ID, "old_secret_expires_at": rfc3339(oldEnd)}
		return []Record{
			{k.ID, &eventsv1.ApiKeyRotated{ApiKeyId: k.ID, OldExpiresAt: timestamppb.New(oldEnd)}},
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

// LookUpAPIKey finds the key of a secret by the secret's SHA-256. Unknown is ErrInvalidAPIKey.
func (s *Service) LookUpAPIKey(ctx context.Context, hash [32]byte) (FoundKey, error) {
	k, held, err := s.Keys.KeyBySecret(ctx, hash)
	if errors.Is(err, ErrAPIKeyNotFound) {
		return FoundKey{}, ErrInvalidAPIKey
	}
	if err != nil {
		return FoundKey{}, fmt.Errorf("look up API key: %w", err)
	}
	end := earlier(earlier(k.ExpiresAt, held.ExpiresAt), k.RevokedAt)
	ended := !k.RevokedAt.IsZero() || !end.IsZero() && !s.Clock.Now().Before(end)
	return FoundKey{APIKey: k, End: end, Ended: ended}, nil
}

// earlier treats zero as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}

// canonicalID accepts the usual text form only, in either case.
func canonicalID(s string) (string, bool) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != len(uuid.Nil.String()) {
		return "", false
	}
	return id.String(), true
}
