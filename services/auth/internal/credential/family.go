package credential

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

const (
	// AccessFor is the life of an access token.
	AccessFor  = time.Hour
	refreshFor = 30 * 24 * time.Hour
	// RefreshPrefix begins every refresh token.
	RefreshPrefix = "rt_"
)

// Family is the chain of tokens that began with one call of auth/token for a device on a license. It goes on while that
// device may use the license: the API key of the call is no part of it, and ends no tokens when it is revoked.
type Family struct {
	ID, LicenseID, HardwareID string
	// Standing is that of the device when the family began.
	Standing
	CreatedAt time.Time
	// RevokedAt zero: in force.
	RevokedAt time.Time
	// Current is the hash of the newest refresh token, Previous that of the one it was given for; zero: none.
	Current, Previous [32]byte
	// InUse tells that a token of the current pair was presented: its answer has arrived.
	InUse bool
	// Rotations counts the pairs given, the first one not among them.
	Rotations int
	// Answer is the current pair as sealPair has sealed it with the token of Previous, and ExpiresAt the end of its
	// refresh token. Answer is known to Rotate alone.
	Answer    []byte
	ExpiresAt time.Time
}

// Standing is what license says of a device that may act on its license.
type Standing struct {
	// LicenseVersion is the license's; license tells from it whether the device has left its seat since.
	LicenseVersion int
	// UserCredentials is how often what proves the user of the device had become void, nil where nobody signed in or
	// license did not say. It only grows.
	UserCredentials *int64
}

// voidFor reports whether what proved the user of the family is void in the light of how the device stands now. Fewer
// than then are those of a license that has not heard of the newest yet.
func (f Family) voidFor(now Standing) bool {
	return f.UserCredentials != nil && now.UserCredentials != nil && *now.UserCredentials > *f.UserCredentials
}

// repeatFor is how long a refresh token that comes again gets the pair that it has been exchanged for: an application
// that refreshes twice at once, at whatever replicas, goes on with either answer.
const repeatFor = 10 * time.Second

// Accepts is the rule of rotation. The current refresh token is good for a new pair. So is its predecessor as long as
// nothing of the current pair was used, since that answer may have been lost; the current pair is void then. Any other
// token of the family, used up or void, is presented by a second party: one of the two has stolen it.
func (f Family) Accepts(hash [32]byte) bool {
	return hash == f.Current || hash == f.Previous && !f.InUse
}

// Repeat is the current pair, where raw is the token that it was given for within the last seconds. It is for a family
// that accepts the token: nothing of the pair was used.
func (f Family) Repeat(raw string, now time.Time) (Pair, bool) {
	made := f.ExpiresAt.Add(-refreshFor)
	if f.Previous != secret.Hash(raw) || now.Sub(made).Abs() >= repeatFor {
		return Pair{}, false
	}
	return openPair(raw, f.Answer)
}

// RefreshToken is one link of the chain.
type RefreshToken struct {
	Hash     [32]byte
	FamilyID string
	// AccessID is the id of the access token that was given with it.
	AccessID  string
	CreatedAt time.Time
	ExpiresAt time.Time
	// Answer is what Family.Answer becomes with it.
	Answer []byte
}

// Once makes a pair at most once, as the caller's Idempotency-Key asks for. subject is what the pair is for: each has
// keys of its own. It runs fn in a transaction.
type Once func(ctx context.Context, subject string, fn func(ctx context.Context) (Pair, error)) (Pair, error)

// Pair is what a client gets.
type Pair struct {
	Access, Refresh string
	ExpiresIn       time.Duration
}

// Device is who wants tokens.
type Device struct {
	LicenseID, HardwareID string
	// AppVersion and IsVM are what the application says of itself and of its computer.
	AppVersion string
	IsVM       bool
	// UserToken proves the user who has signed in, empty for nobody.
	UserToken string
}

// Caller is where a request comes from.
type Caller struct {
	refusal.Origin
	// Product is the code of the product to whose licenses the caller is bound, empty for all.
	Product string
}

// AccessState is what became of an access token after it was signed.
type AccessState struct {
	// Revoked refuses all tokens of the family.
	Revoked bool
	// Void refuses this one: its pair was replaced before anything of it was used. A token in use never becomes void.
	Void bool
}
