package token

import (
	"context"
	"crypto/sha256"
	"reflect"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	verifiedKept = 100_000
	verifiedFor  = 5 * time.Minute
)

// Verifier checks tokens of one audience and remembers those that passed, by hash, so that the next check of the same
// token costs no signature. That its key still stands is asked each time. Whether its license, device or family does
// is asked elsewhere.
type Verifier struct {
	keys     KeySet
	clock    clock.Clock
	audience string
	passed   *cache.Cache[[32]byte, passed]
}

// passed is a token whose signature was good.
type passed struct {
	claims jwt.Claims
	signer signer
}

// NewVerifier makes a verifier for one audience.
func NewVerifier(keys KeySet, c clock.Clock, audience string) *Verifier {
	return &Verifier{
		keys: keys, clock: c, audience: audience,
		passed: cache.New[[32]byte, passed](cache.Options{Capacity: verifiedKept, TTL: verifiedFor}, c),
	}
}

// Verify is the package's Verify. What into refers to afterwards may be shared with other callers: it is for reading.
func (v *Verifier) Verify(ctx context.Context, raw string, into jwt.Claims) error {
	if len(raw) > maxSize {
		return Refused("malformed")
	}
	sum := sha256.Sum256([]byte(raw))
	known, ok := v.passed.Peek(sum)
	var err error
	if ok {
		err = v.stands(ctx, known.signer)
	} else {
		known, err = v.check(ctx, raw, sum, reflect.TypeOf(into).Elem())
	}
	if err != nil {
		return err
	}
	if reflect.TypeOf(known.claims) != reflect.TypeOf(into) {
		return Verify(ctx, v.keys, v.clock, v.audience, raw, into) // remembered as another type of the same audience
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(known.claims).Elem())
	return required(into, v.clock.Now())
}

// check verifies a token and remembers it. Calls with one token at the same time each do, so that each leaves with
// its own context when the keys cannot be had.
func (v *Verifier) check(ctx context.Context, raw string, sum [32]byte, claims reflect.Type) (p passed, err error) {
	p.claims = reflect.New(claims).Interface().(jwt.Claims)
	if p.signer, err = verify(ctx, v.keys, v.clock, v.audience, raw, p.claims); err != nil {
		return p, err
	}
	p, _, err = v.passed.Fetch(ctx, sum, func(context.Context) (passed, error) { return p, nil })
	return p, err
}

// stands fails unless the key is still in the set: it may have been revoked since its token passed.
func (v *Verifier) stands(ctx context.Context, s signer) error {
	key, err := v.keys.PublicKey(ctx, s.kid)
	if err == nil && !key.Equal(s.key) {
		err = Refused("key")
	}
	return err
}
