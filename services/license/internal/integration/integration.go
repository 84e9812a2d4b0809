// Package integration is about the credentials of applications that speak another vendor's API: who may sign calls and
// with what, and the key that signs our answers. Package dialect/licensespring has the API itself.
package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// LicenseSpring is the kind of the integrations whose clients speak LicenseSpring's API.
const LicenseSpring = "licensespring"

// Bounds of what an administrator may write.
const (
	maxName     = 255
	maxProducts = 100
	maxCalls    = 1_000_000
	// maxOverlapHours is the longest time that a key may go on after its rotation: a year.
	maxOverlapHours = 8_760
	// MaxKeys bounds the keys that are kept, ended ones among them: all processes have them in memory.
	MaxKeys = 10_000
	// EndedKept is how long a key that has ended, or whose integration was deleted, is still told from one that never
	// was.
	EndedKept = 90 * 24 * time.Hour
)

// What an integration may call unless it is told otherwise: it is shipped in applications, so each client address has
// its own allowance, as with API keys of that kind.
const (
	defaultPerMinute = 60
	defaultPerHour   = 1000
)

// Per says whose calls count together.
type Per string

// The ways to count.
const (
	PerKey     Per = "key"
	PerAddress Per = "address"
)

// Integration is a vendor's application, or several, whose calls are signed with keys of ours.
type Integration struct {
	// ID is a UUID.
	ID   string
	Kind string
	Name string
	// Products are the codes of those that it is for, none for all.
	Products []string
	// ReadOnly integrations change nothing.
	ReadOnly bool
	// ServerSide integrations have their keys on servers of the vendor alone, and are told more about customers.
	ServerSide bool
	RateLimit  ratelimit.Limit
	Per        Per
	CreatedAt  time.Time
	// DeletedAt is zero for one that was not deleted.
	DeletedAt time.Time
}

// Allows reports whether the integration is for a product.
func (i *Integration) Allows(product string) bool {
	return len(i.Products) == 0 || slices.Contains(i.Products, product)
}

// Wanted is what an administrator says of an integration to be made.
type Wanted struct {
	Name               string
	Products           []string
	ReadOnly           bool
	ServerSide         bool
	PerMinute, PerHour *int
	Per                *Per
}

// Created is an integration with a key that has just been made: its secrets are shown this once.
type Created struct {
	Integration
	Key Key
	// PublicKeyPEM is the key that checks our answers.
	PublicKeyPEM string
	// FormerUntil is when the previous key stops, zero where there was none.
	FormerUntil time.Time
}

// Integrations are the use cases of administrators.
type Integrations struct {
	Store     Store
	Responses *ResponseKeys
	Clock     clock.Clock
}

// Create makes an integration with its first key. Errors: VALIDATION_ERROR, ErrTooMany.
func (s *Integrations) Create(ctx context.Context, by *licensing.Actor, n Wanted) (Created, error) {
	if err := n.check(); err != nil {
		return Created{}, err
	}
	response, err := s.Responses.Key(ctx, LicenseSpring)
	if err != nil {
		return Created{}, err
	}
	now := s.now()
	made := Created{Integration: n.integration(now), Key: newKey(now), PublicKeyPEM: response.PublicPEM()}
	made.Key.IntegrationID = made.ID
	err = s.Store.AddIntegration(ctx, made.Integration, made.Key, []proto.Message{
		&eventsv1.IntegrationCreated{IntegrationId: made.ID, Kind: made.Kind},
		audit.Entry(by, "integration.create", nil, made.auditView()),
	})
	return made, err
}

// Rotate gives an integration another key; the previous one works for the overlap. Errors: ErrNotFound,
// VALIDATION_ERROR, ErrTooMany.
func (s *Integrations) Rotate(ctx context.Context, by *licensing.Actor, id string, overlapHours int) (Created, error) {
	if overlapHours < 0 || overlapHours > maxOverlapHours {
		return Created{}, apierr.InvalidField("overlap_hours", fmt.Sprintf("must be from 0 to %d", maxOverlapHours))
	}
	response, err := s.Responses.Key(ctx, LicenseSpring)
	if err != nil {
		return Created{}, err
	}
	now := s.now()
	until := now.Add(time.Duration(overlapHours) * time.Hour)
	key := newKey(now)
	key.IntegrationID = id
	found, err := s.Store.RotateIntegrationKey(ctx, key, until, func(i *Integration) []proto.Message {
		return []proto.Message{
			&eventsv1.IntegrationKeyRotated{IntegrationId: i.ID, Kind: i.Kind},
			audit.Entry(by, "integration.rotate_key", nil, map[string]any{
				"integration_id": i.ID, "former_key_valid_until": until.UTC().Format(time.RFC3339),
			}),
		}
	})
	return Created{Integration: found, Key: key, PublicKeyPEM: response.PublicPEM(), FormerUntil: until}, err
}

// Delete has an integration sign nothing more. Errors: ErrNotFound.
func (s *Integrations) Delete(ctx context.Context, by *licensing.Actor, id string) error {
	return s.Store.DeleteIntegration(ctx, id, s.now(), func(i *Integration) []proto.Message {
		return []proto.Message{
			&eventsv1.IntegrationDeleted{IntegrationId: i.ID, Kind: i.Kind},
			audit.Entry(by, "integration.delete", i.auditView(), nil),
		}
	})
}

func (n *Wanted) check() error {
	bad := apierr.Fields{}
	if strings.TrimSpace(n.Name) == "" {
		bad.Add("name", "is required")
	} else if utf8.RuneCountInString(n.Name) > maxName {
		bad.Add("name", fmt.Sprintf("must have at most %d characters", maxName))
	}
	if len(n.Products) > maxProducts {
		bad.Add("products", fmt.Sprintf("must have at most %d entries", maxProducts))
	}
	for name, calls := range map[string]*int{"rate_limit.per_minute": n.PerMinute, "rate_limit.per_hour": n.PerHour} {
		if calls != nil {
			bad.Range(name, *calls, 0, maxCalls)
		}
	}
	if n.Per != nil && *n.Per != PerKey && *n.Per != PerAddress {
		bad.Add("rate_limit.per", `must be "key" or "address"`)
	}
	return bad.Err()
}

func (n *Wanted) integration(now time.Time) Integration {
	slices.Sort(n.Products)
	return Integration{
		ID:         newID(),
		Kind:       LicenseSpring,
		Name:       n.Name,
		Products:   slices.Compact(n.Products),
		ReadOnly:   n.ReadOnly,
		ServerSide: n.ServerSide,
		RateLimit: ratelimit.Limit{
			PerMinute: or(n.PerMinute, defaultPerMinute),
			PerHour:   or(n.PerHour, defaultPerHour),
		},
		Per:       or(n.Per, PerAddress),
		CreatedAt: now,
	}
}

// auditView is what the audit log shows.
func (i *Integration) auditView() map[string]any {
	return map[string]any{
		"integration_id": i.ID, "kind": i.Kind, "name": i.Name, "products": append([]string{}, i.Products...),
		"read_only": i.ReadOnly, "server_side": i.ServerSide, "rate_limit": map[string]any{
			"per_minute": i.RateLimit.PerMinute, "per_hour": i.RateLimit.PerHour, "per": string(i.Per),
		},
	}
}

// now is the time as the store keeps it.
func (s *Integrations) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Microsecond) }

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
