package integration

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps integrations. Every method that changes something writes the events of the change in the same
// transaction.
type Store interface {
	// AddIntegration inserts an integration with its first key; ErrTooMany, VALIDATION_ERROR where it names a product
	// that is not there.
	AddIntegration(ctx context.Context, i Integration, k Key, events []proto.Message) error
	// Integrations reads a part of the integrations that were not deleted, newest first.
	Integrations(ctx context.Context, span licensing.Span) (licensing.Page[Integration], error)
	// RotateIntegrationKey adds a key to its integration and ends those of before at a time, unless they end earlier;
	// ErrNotFound, ErrTooMany.
	RotateIntegrationKey(
		ctx context.Context, k Key, until time.Time, events func(*Integration) []proto.Message,
	) (Integration, error)
	// DeleteIntegration notes that an integration ended; ErrNotFound.
	DeleteIntegration(
		ctx context.Context, id string, at time.Time, events func(*Integration) []proto.Message,
	) error
}

// ResponseStore keeps the keys that sign answers, as PKCS #1.
type ResponseStore interface {
	// ResponseKey is nil where there is none yet.
	ResponseKey(ctx context.Context, kind string) ([]byte, error)
	// AddResponseKey keeps a key unless there is one, and returns the one that there is.
	AddResponseKey(ctx context.Context, kind string, key []byte, at time.Time) ([]byte, error)
}

// Signers finds keys, from memory.
type Signers interface {
	// ByAPIKey and ByClientID are nil for what no key has. One that has ended is found: see Key.Live.
	ByAPIKey(ctx context.Context, apiKey string) (*Signer, error)
	ByClientID(ctx context.Context, clientID string) (*Signer, error)
}
