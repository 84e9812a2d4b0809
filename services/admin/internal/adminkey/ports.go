package adminkey

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// Store keeps the keys. Every change writes its audit record in the same transaction, and changes of keys happen one
// after another, on all replicas together.
type Store interface {
	// ByHash finds the live key with this SHA-256, or fails with ErrInvalidKey, because of secret.ErrEnded where it was
	// revoked.
	ByHash(ctx context.Context, hash [32]byte) (Key, error)
	// Keys lists the live keys, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	AddKey(ctx context.Context, k Key, hash [32]byte, r audit.Record) error
	// RevokeKey revokes a live key, with the key as the record's Before. It fails with ErrNotFound or ErrLastOwner.
	RevokeKey(ctx context.Context, id string, r audit.Record) (Key, error)
	// ConfigureOwner makes k the one live key that came from the configuration and revokes its predecessor. A live
	// owner key with this hash takes k's place, one of another role is ErrNotOwner; where it is revoked, nothing
	// changes and live is false.
	ConfigureOwner(ctx context.Context, k Key, hash [32]byte, r audit.Record) (live bool, err error)
}
