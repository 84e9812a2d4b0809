// Package claims is the contract of the tokens that auth signs: JSON Web Tokens (RFC 7519) signed with Ed25519
// (EdDSA, RFC 8037), the key named by the kid header and published at /.well-known/jwks.json.
package claims

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer is the iss claim of every token.
const Issuer = "latchkey"

// The aud claim tells the kinds of tokens apart, so that none passes for another.
const (
	AudienceAccess  = "latchkey"
	AudienceOffline = "latchkey-offline"
	AudienceLease   = "latchkey-lease"
)

// MaxOfflineHours is the longest life that a license may allow its offline tokens; the keys that signed them are
// published at least that long.
const MaxOfflineHours = 8760

// Access lets a device act on its license for an hour. Subject is the license id. Auth fills it in
// (internal/credential/tokens.go, mint) and reads it (access.go there), as does license (internal/api/token.go).
type Access struct {
	jwt.RegisteredClaims
	HardwareID string `json:"hardware_id"`
	// FamilyID names the chain of tokens that began with one call of auth/token; a revoked family refuses its tokens.
	FamilyID string `json:"fid"`
	// LicenseVersion is the license's when the family began. A device that takes a seat, and a license that is
	// deactivated, make the tokens of earlier versions void permanently.
	LicenseVersion int `json:"license_version"`
}

// SlowClock is how far a device's clock may be behind for it to take an offline token at once: the iat claim is set
// back by so much, because libraries refuse tokens issued in their future. Nothing else depends on that claim.
const SlowClock = 5 * time.Minute

// Offline lets a device run without the server until it expires. Subject is the license id.
type Offline struct {
	jwt.RegisteredClaims
	HardwareID string   `json:"hardware_id"`
	Features   []string `json:"features"`
	// FeaturesUntil are the ends of those features that end before the token does.
	FeaturesUntil Ends `json:"features_until,omitempty"`
	// LicenseVersion is as in Access.
	LicenseVersion int `json:"license_version"`
}

// Ends are times by the codes of what ends then, in whole seconds.
type Ends map[string]*jwt.NumericDate

// NewEnds makes Ends of times.
func NewEnds(times map[string]time.Time) Ends {
	ends := make(Ends, len(times))
	for code, at := range times {
		ends[code] = jwt.NewNumericDate(at)
	}
	return ends
}

// Left are those of codes that have not ended.
func (e Ends) Left(codes []string, now time.Time) []string {
	left := make([]string, 0, len(codes))
	for _, code := range codes {
		if end := e[code]; end == nil || now.Before(end.Time) {
			left = append(left, code)
		}
	}
	return left
}

// Lease proves that a device holds a slot of a floating license until the token expires, also to an application that
// cannot reach the server. Subject is the license id, ID the lease's. License signs it; its keys are at
// /api/v1/license/leases/keys.
type Lease struct {
	jwt.RegisteredClaims
	HardwareID string   `json:"hardware_id"`
	SessionID  string   `json:"session_id,omitempty"`
	Features   []string `json:"features"`
	// FeaturesUntil is as in Offline.
	FeaturesUntil Ends `json:"features_until,omitempty"`
	// Entitlement is the one that the lease claims, empty for none.
	Entitlement string `json:"entitlement,omitempty"`
	// BorrowedUntil is until when the device may do without renewals, absent for a lease that is not borrowed.
	BorrowedUntil *jwt.NumericDate `json:"borrowed_until,omitempty"`
}
