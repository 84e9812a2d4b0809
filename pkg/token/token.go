// Package token signs and checks the suite's JSON Web Tokens (RFC 7519). There is one algorithm, EdDSA with Ed25519
// (RFC 8037), and keys are found by the kid header in a set that is known beforehand: nothing inside a token decides
// how it is checked.
package token

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

const (
	// maxSize caps a token before anything looks into it.
	maxSize = 8 << 10
	// leeway forgives the clocks of replicas that differ a little; it applies to iat and nbf alone. The clock of a
	// device is not asked; how far it may be behind to take an offline token is claims.SlowClock.
	leeway = 5 * time.Second
)

// ErrInvalid is the refusal of a token; details.reason says why: missing, malformed, key, signature, expired,
// not_yet_valid, audience, issuer, claims, or what a rule adds (revoked, reused).
var ErrInvalid = apierr.New(apierr.Unauthenticated, errcode.InvalidToken, "the token is not valid; obtain a new one")

// Refused is ErrInvalid with a reason.
func Refused(reason string) *apierr.Error { return ErrInvalid.With("reason", reason) }

// RefusedWith refuses a token because of its license or device, with the same advice: a new token is refused as
// well, and this one is valid again once that is fixed.
func RefusedWith(cause *apierr.Error) *apierr.Error {
	return Refused(strings.ToLower(cause.Code)).WithMessagef("the token is not valid now: %s", cause.Message)
}

// Ours reports whether the token that err refuses carries our signature: it has ended or is for something else, but
// nobody made it up.
func Ours(err error) bool {
	var e *apierr.Error
	if !errors.As(err, &e) || !e.Is(ErrInvalid) {
		return false
	}
	switch e.Details["reason"] {
	case nil, "missing", "malformed", "key", "signature", "unknown":
		return false
	}
	return true
}

// Ended reports whether a token was refused only because it expired: its claims are true, and were filled in.
func Ended(err error) bool { return refusedAs(err, "expired") }

// NotYet is Ended for a token that is not valid yet, by a clock that is behind that of its issuer.
func NotYet(err error) bool { return refusedAs(err, "not_yet_valid") }

func refusedAs(err error, reason string) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Is(ErrInvalid) && e.Details["reason"] == reason
}

// KeySet finds public keys.
type KeySet interface {
	// PublicKey returns the key named kid, or ErrInvalid when there is none.
	PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// Keys is a key set that is known from the beginning.
type Keys map[string]ed25519.PublicKey

// PublicKey implements KeySet.
func (k Keys) PublicKey(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if key := k[kid]; key != nil {
		return key, nil
	}
	return nil, Refused("key")
}

// Sign makes a token of claims, signed by the key that is published as kid.
func Sign(key ed25519.PrivateKey, kid string, claims jwt.Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"] = kid
	signed, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Verify checks raw and fills into, a pointer to claims. It demands EdDSA, a known kid, our issuer, the given audience,
// exp, iat and sub. It fails with ErrInvalid, or with what the key set failed with.
func Verify(ctx context.Context, keys KeySet, c clock.Clock, audience, raw string, into jwt.Claims) error {
	_, err := verify(ctx, keys, c, audience, raw, into)
	return err
}

// signer is the key that signed a token.
type signer struct {
	kid string
	key ed25519.PublicKey
}

func verify(
	ctx context.Context, keys KeySet, c clock.Clock, audience, raw string, into jwt.Claims,
) (by signer, err error) {
	if len(raw) > maxSize || strings.Count(raw, ".") != 2 {
		return by, Refused("malformed")
	}
	// Times are checked below, apart from the parser, whose leeway would also lengthen exp.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation())
	_, err = parser.ParseWithClaims(raw, into, func(t *jwt.Token) (_ any, err error) {
		kid, ok := t.Header["kid"].(string)
		if _, critical := t.Header["crit"]; critical || !ok || kid == "" {
			return nil, Refused("malformed")
		}
		by.kid = kid
		by.key, err = keys.PublicKey(ctx, kid)
		return by.key, err
	})
	if err != nil {
		return by, refusal(err)
	}
	return by, validate(into, audience, c.Now())
}

// refusal turns a parser's error into ours; those of the key set pass unchanged.
func refusal(err error) error {
	var typed *apierr.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return Refused("signature").WithCause(err)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return Refused("key").WithCause(err)
	default:
		return Refused("malformed").WithCause(err)
	}
}

func validate(c jwt.Claims, audience string, now time.Time) error {
	err := jwt.NewValidator(
		jwt.WithIssuer(claims.Issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway), jwt.WithTimeFunc(func() time.Time { return now }),
	).Validate(c)
	if err == nil {
		return required(c, now)
	}
	reasons := []struct {
		is     error
		reason string
	}{
		{jwt.ErrTokenInvalidAudience, "audience"},
		{jwt.ErrTokenInvalidIssuer, "issuer"},
		{jwt.ErrTokenRequiredClaimMissing, "claims"},
		{jwt.ErrTokenExpired, "expired"},
		{jwt.ErrTokenNotValidYet, "not_yet_valid"},
		{jwt.ErrTokenUsedBeforeIssued, "not_yet_valid"},
	}
	for _, r := range reasons {
		if r.reason == "audience" && errors.Is(err, r.is) {
			return wrongKind(audience).WithCause(err)
		}
		if errors.Is(err, r.is) {
			return Refused(r.reason).WithCause(err)
		}
	}
	return Refused("claims").WithCause(err)
}

// wrongKind refuses a token that is good for something else: a new one of its kind would be refused as well.
func wrongKind(wanted string) *apierr.Error {
	kind, known := map[string]string{
		claims.AudienceAccess: "an access token", claims.AudienceOffline: "an offline token",
		claims.AudienceLease: "a lease token",
	}[wanted]
	if !known {
		kind = "one of the kind that is asked for"
	}
	return Refused("audience").WithMessagef("the token is of another kind; send %s", kind)
}

// required checks what the validator takes for optional, and exp without leeway.
func required(c jwt.Claims, now time.Time) error {
	issued, err := c.GetIssuedAt()
	if err != nil || issued == nil {
		return Refused("claims")
	}
	if subject, err := c.GetSubject(); err != nil || subject == "" {
		return Refused("claims")
	}
	expires, err := c.GetExpirationTime()
	if err != nil || expires == nil {
		return Refused("claims")
	}
	if !now.Before(expires.Time) {
		return Refused("expired")
	}
	return nil
}
