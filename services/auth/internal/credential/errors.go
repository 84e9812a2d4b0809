package credential

import (
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// What the rules refuse with.
var (
	// ErrInvalidAPIKey refuses a secret that opens nothing, for whatever reason.
	ErrInvalidAPIKey = apierr.New(apierr.Unauthenticated, errcode.InvalidAPIKey,
		"the API key is missing or not valid; send a valid key, exactly once, in the header X-API-Key")
	// ErrAPIKeyNotFound says that no API key in force has this id.
	ErrAPIKeyNotFound = apierr.New(apierr.NotFound, errcode.NotFound,
		"no valid API key has this id; list the API keys to see their ids")
	// ErrTokenUnknown says that the store has no such refresh token.
	ErrTokenUnknown = errors.New("credential: unknown refresh token")
	// errNotAccepted marks errReused: errors.Is takes all refusals of tokens, which have one code, for the same.
	errNotAccepted = errors.New("credential: the family does not accept the refresh token")
	// errUserVoid marks errSignedOut, for the same reason.
	errUserVoid = errors.New("credential: what proved the user of the family is void")
	errRevoked  = token.Refused("revoked")
	// errNoRefreshToken is for what is no refresh token by its form, such as an access token.
	errNoRefreshToken = token.Refused("malformed").WithMessagef(
		"this is no refresh token; send the refresh_token that came with the access token, once and whole")
	errReused    = token.Refused("reused").WithCause(errNotAccepted)
	errSignedOut = errRevoked.WithCause(errUserVoid)
	// ErrTooManyTokens refuses one more family of a device that begins them without end.
	ErrTooManyTokens = apierr.New(apierr.RateLimited, errcode.RateLimitExceeded,
		"this device requested too many tokens within an hour; store its tokens and refresh them instead").
		WithRetryAfter(time.Minute)
	errLicenseNotFound = apierr.New(apierr.NotFound, errcode.LicenseNotFound,
		"no license has this license_id; check it")
)
