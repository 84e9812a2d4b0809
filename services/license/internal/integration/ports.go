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
	// RotateIntegrationKey adds a key to its integration and ends the previous ones at a time, unless they end earlier;
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

// OfflineRequest is a request that was carried by hand.
type OfflineRequest struct {
	// ID is the client's, unique within the license.
	LicenseID, ID string
	// Hash reports whether another request has the same id.
	Hash string
}

// OfflineStore keeps the answers to requests that were carried by hand.
type OfflineStore interface {
	// OfflineAnswer is the answer that a request got before, nil for none; ErrReused.
	OfflineAnswer(ctx context.Context, r OfflineRequest) ([]byte, error)
	// AnswerOffline keeps what answer gives, in one transaction with what answer changes by its ctx, unless the request
	// was answered before: then that is the answer. ErrReused, licensing.ErrNotFound.
	AnswerOffline(
		ctx context.Context, r OfflineRequest, answer func(ctx context.Context) ([]byte, error),
	) ([]byte, error)
}

// NumberStore knows the numbers by which clients whose ids are numbers know what has an id of ours. They never change.
type NumberStore interface {
	// Numbers reads the numbers of what is asked for. Entitlements get theirs when they are first asked for.
	Numbers(ctx context.Context, q NumberQuery) (Numbers, error)
}
