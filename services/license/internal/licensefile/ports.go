// Package licensefile has the use cases of license files: the keys that sign them, the files of machines without a
// network, and the list of those that were revoked. Their form is package licensefile of proto.
package licensefile

import (
	"context"
	"crypto/ed25519"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps licenses.
type Store interface {
	// Change is that of licensing.Store.
	Change(ctx context.Context, licenseID string, hardwareIDs []string, decide func(*licensing.Change) error) error
	// Peek is that of licensing.Store.
	Peek(ctx context.Context, licenseID string, hardwareIDs []string) (*licensing.Change, error)
	// Key reveals the license key; licensing.ErrNotFound.
	Key(ctx context.Context, licenseID string) (string, error)
}

// KeyStore keeps the keys of files. Of each use and product one key is the current one.
type KeyStore interface {
	// CurrentFileKey reads the current key of a use and product, nil where there is none.
	CurrentFileKey(ctx context.Context, use, product string) (*Key, error)
	// AddFileKey makes k the current key of its use and product, unless there is one, and returns the current one.
	AddFileKey(ctx context.Context, k Key) (*Key, error)
	// ReplaceFileKey makes k the current key in the place of another, which is published until then, and writes event.
	ReplaceFileKey(ctx context.Context, k Key, listedUntil time.Time, event proto.Message) error
	// ListedFileKeys are the keys published at a time, without their private parts: the root, then the newest first.
	ListedFileKeys(ctx context.Context, now time.Time) ([]Key, error)
}

// Key is an Ed25519 key.
type Key struct {
	KID string
	// Use is useRoot or one of package licensefile of proto; Product is the code of the product that the key is for,
	// else empty.
	Use, Product string
	// Private is nil in a list.
	Private ed25519.PrivateKey
	// Certificate is what the root says of the key; empty for the root.
	Certificate []byte
	Public      ed25519.PublicKey
	NotBefore   time.Time
	NotAfter    time.Time
	// RetiredAt is zero for the current key.
	RetiredAt time.Time
}

// RevocationStore keeps the revocation list.
type RevocationStore interface {
	// Revocations brings the list up to date and returns its number, the number up to which changes are not known any
	// more, and everyone who is on the list, or left it and is still remembered.
	Revocations(ctx context.Context, now time.Time) (number, pruned int, entries []Revocation, err error)
}

// Revocation is a license, or with HardwareID one of its devices, which is on the revocation list or was.
type Revocation struct {
	LicenseID, HardwareID string
	// Reason is why it is on the list; see package licensefile of proto.
	Reason  string
	Revoked bool
	// Number is that of the list since which this holds.
	Number    int
	ChangedAt time.Time
}
