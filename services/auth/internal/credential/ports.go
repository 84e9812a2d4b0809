package credential

import (
	"context"
	"time"
)

// KeyStore keeps API keys. Ids are canonical UUIDs.
type KeyStore interface {
	CreateKey(ctx context.Context, k APIKey, s KeySecret, records ...Record) error
	// Keys lists the keys that are not revoked, newest first.
	Keys(ctx context.Context) ([]APIKey, error)
	// KeyBySecret finds a key, revoked or not, by the hash of one of its secrets, and that secret. Otherwise it fails
	// with ErrAPIKeyNotFound.
	KeyBySecret(ctx context.Context, hash [32]byte) (APIKey, KeySecret, error)
	// UpdateKey replaces a key in force by what change makes of it, and commits the records with it; otherwise it
	// fails with ErrAPIKeyNotFound.
	UpdateKey(ctx context.Context, id string, at time.Time, change func(APIKey) (APIKey, []Record)) error
	// RevokeKey fails with ErrAPIKeyNotFound unless the key was in force; only then records(key) are committed with it.
	RevokeKey(ctx context.Context, id string, at time.Time, records func(APIKey) []Record) error
	// RotateKey adds a secret to a key that is not revoked and ends its other secrets at oldEnd, unless they end
	// earlier.
	RotateKey(ctx context.Context, id string, s KeySecret, oldEnd time.Time,
		records func(APIKey) []Record) (APIKey, error)
}

// FamilyStore keeps chains of refresh tokens. Ids are canonical UUIDs.
type FamilyStore interface {
	// CreateFamily fails with ErrTooManyTokens when the device has too many families with live access tokens.
	CreateFamily(ctx context.Context, f Family, first RefreshToken) error
	// RefreshToken finds a token by its hash, with its family, or fails with ErrTokenUnknown.
	RefreshToken(ctx context.Context, hash [32]byte) (Family, RefreshToken, error)
	// Rotate makes next the current token of the family in exchange for t, both or neither, and the token that was
	// current void unless it is t. It changes nothing unless wanted says so of the family as it is then, which no
	// other call changes meanwhile. wanted may be asked more than once.
	Rotate(ctx context.Context, t, next RefreshToken, wanted func(Family) bool) error
	// RevokeFamily commits records with the revocation; it reports false, and commits nothing, when the family was
	// revoked already.
	RevokeFamily(ctx context.Context, id string, at time.Time, records ...Record) (bool, error)
	// UseAccess tells the state of an access token, and notes that its pair is in use if it is the current one. Of
	// this and a concurrent Rotate in exchange for the predecessor, one comes first and the other takes it into
	// account.
	UseAccess(ctx context.Context, familyID, accessID string) (AccessState, error)
}

// SigningStore keeps the signing keys, their private halves sealed.
type SigningStore interface {
	// SigningKeys lists all keys, revoked ones too, in the order of their generations.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey reports false, and adds nothing, when there is a key of that generation.
	AddSigningKey(ctx context.Context, k SigningKey, records ...Record) (bool, error)
	// RevokeSigningKey revokes a key and adds its successor, nil for none; both or neither. It reports false, and
	// changes nothing, when the key is revoked already, or there is a key of the successor's generation.
	RevokeSigningKey(ctx context.Context, id string, at time.Time, successor *SigningKey,
		records ...Record) (bool, error)
	// SigningKeyStands reports whether the key is there and not revoked.
	SigningKeyStands(ctx context.Context, id string) (bool, error)
	// ExtendSigningKey lets the key be published at least until then.
	ExtendSigningKey(ctx context.Context, id string, neededUntil time.Time) error
}

// Devices asks the license service.
type Devices interface {
	// CheckDevice returns how the device stands on the license when it may act on it now, and otherwise the refusal
	// that the device would get when it validates, such as LICENSE_EXPIRED or DEVICE_NOT_ACTIVATED, or an error of
	// kind Unavailable. Licenses of other products than the caller's are not found.
	CheckDevice(ctx context.Context, from Caller, d Device) (Standing, error)
	// CheckFamily is CheckDevice for tokens issued earlier; it fails with INVALID_TOKEN when the device has left its
	// seat, or the license was deactivated, since Family.LicenseVersion. address is empty where it is not the device
	// that asks.
	CheckFamily(ctx context.Context, f Family, address string) (Standing, error)
}
