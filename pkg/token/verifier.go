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
	verifiedFor  = 5 * time.Minute // after it a token is checked again, against the keys of then
)

// Verifier checks tokens of one audience and remembers those that passed, by hash, so that the next check of the same
// token costs no signature. It remembers the token alone: whether its license, device or family still stands is asked elsewhere.
type Verifier struct {
	keys     KeySet
	clock    clock.Clock
	audience string
	passed   *cache.Cache[[32]byte, jwt.Claims]
}

// NewVerifier makes a verifier for one audience.
func NewVerifier(keys KeySet, c clock.Clock, audience string) *Verifier {
	passed := cache.New[[32]byte, jwt.Claims](cache.Options{Capacity: verifiedKept, TTL: verifiedFor}, c)
	return &Verifier{keys: keys, clock: c, audience: audience, passed: passed}
}

// Verify is the package's Verify. What into refers to afterwards may be shared with other callers: it is for reading.
func (v *Verifier) Verify(ctx context.Context, raw string, into jwt.Claims) error {
	if len(raw) > maxSize {
		return Refused("malformed")
	}
	sum := sha256.Sum256([]byte(raw))
	known, _, err := v.passed.Fetch(ctx, sum, func(ctx context.Context) (jwt.Claims, error) {
		checked := reflect.New(reflect.TypeOf(into).Elem()).Interface().(jwt.Claims)
		return checked, Verify(ctx, v.keys, v.clock, v.audience, raw, checked)
	})
	if err != nil {
		return err
	}
	if reflect.TypeOf(known) != reflect.TypeOf(into) {
		return Verify(ctx, v.keys, v.clock, v.audience, raw, into) // one audience, two types: nobody does that for long
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(known).Elem())
	return required(into, v.clock.Now())
}
