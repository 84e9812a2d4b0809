// Package adminkey holds the rules of admin keys: who may use the management API, and as what. Only the SHA-256 of a
// key is ever kept; the keys carry enough randomness that nothing slower is needed.
package adminkey

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// Prefix begins every admin key that the service makes. A key from the configuration may look otherwise.
const Prefix = "ak_"

const (
	maxName   = 255
	maxSecret = 512
	// madeLength is the length of the keys that the service makes.
	madeLength = len(Prefix) + secret.Digits
	// configuredName is what the key from the configuration is called in lists and in the audit log.
	configuredName = "configuration"
)

// Key is an admin key without its secret.
type Key struct {
	ID        string
	Name      string
	Role      Role
	CreatedAt time.Time
}

// Registry is the use cases of admin keys: they are made, revoked and recognized.
type Registry struct {
	Store Store
	Clock clock.Clock
}

// WellFormed reports whether s can be an admin key, without asking the store: printable ASCII, and where it looks like
// a key that the service made, one that is not mistyped.
func WellFormed(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	if strings.HasPrefix(s, Prefix) && len(s) == madeLength {
		return secret.WellFormed(Prefix, s)
	}
	return s != "" && len(s) <= maxSecret
}

// Authenticate finds the key of a secret. Each call asks the store, so a deletion counts at once on every replica.
func (r *Registry) Authenticate(ctx context.Context, presented string) (Key, error) {
	if !WellFormed(presented) {
		return Key{}, ErrInvalidKey
	}
	return r.Store.ByHash(ctx, secret.Hash(presented))
}

// Create makes a key and answers it with its secret, which is not kept.
func (r *Registry) Create(ctx context.Context, actor *audit.Actor, name string, role Role) (Key, string, error) {
	if err := check(name, role); err != nil {
		return Key{}, "", err
	}
	key, err := r.fresh(name, role)
	if err != nil {
		return Key{}, "", err
	}
	shown := secret.New(Prefix)
	created := audit.Record{Actor: actor, Action: "admin_key.create", At: key.CreatedAt, After: key.AuditView()}
	if err := r.Store.AddKey(ctx, key, secret.Hash(shown), created); err != nil {
		return Key{}, "", err
	}
	return key, shown, nil
}

// Delete revokes a key and answers it with the time of its end. The last owner stays: ErrLastOwner. Who has lost it:
// see Configure.
func (r *Registry) Delete(ctx context.Context, actor *audit.Actor, id string) (Key, time.Time, error) {
	now := r.Clock.Now()
	key, err := r.Store.RevokeKey(ctx, id, audit.Record{Actor: actor, Action: "admin_key.delete", At: now})
	return key, now, err
}

// Configure puts the owner key from the configuration in force. live is false when that key had been revoked: a revoked
// key stays revoked, so that a leaked key cannot come back with an old configuration. It is also the way in again for
// those who have lost all owner keys: a new LATCHKEY_ADMIN_API_KEY, and a restart. An empty configured changes nothing,
// but then some owner must exist already.
func (r *Registry) Configure(ctx context.Context, configured secret.Secret) (live bool, err error) {
	if configured == "" {
		return true, r.requireOwner(ctx)
	}
	key, err := r.fresh(configuredName, Owner)
	if err != nil {
		return false, err
	}
	done := audit.Record{Actor: system(), Action: "admin_key.configure", At: key.CreatedAt, After: key.AuditView()}
	return r.Store.ConfigureOwner(ctx, key, secret.Hash(configured.Reveal()), done)
}

func (r *Registry) requireOwner(ctx context.Context) error {
	keys, err := r.Store.Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Role == Owner {
			return nil
		}
	}
	return ErrNoOwner
}

func (r *Registry) fresh(name string, role Role) (Key, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Key{}, fmt.Errorf("make an id: %w", err)
	}
	return Key{ID: id.String(), Name: name, Role: role, CreatedAt: r.Clock.Now()}, nil
}

// AuditView is the key as the audit log shows it.
func (k Key) AuditView() map[string]any {
	return map[string]any{"id": k.ID, "name": k.Name, "role": string(k.Role)}
}

func check(name string, role Role) error {
	bad := apierr.Fields{}
	bad.Require("name", name)
	if n := utf8.RuneCountInString(name); n > maxName {
		bad.Add("name", fmt.Sprintf("has %d characters; at most %d are allowed", n, maxName))
	}
	bad.OneOf("role", string(role), ranks...)
	return bad.Err()
}

// system is the actor of changes that no caller asked for.
func system() *audit.Actor { return &audit.Actor{Id: "system", Name: "system", Role: "system"} }
