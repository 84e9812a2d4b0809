package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

const sealPurpose = "idempotency answers"

// answer is what is kept: the result of the call or its refusal.
type answer struct {
	Value   any            `json:"value,omitempty"`
	Refused *storedRefusal `json:"refused,omitempty"`
}

type storedRefusal struct {
	Kind       string         `json:"kind"`
	Code       string         `json:"code"`
	Message    string         `json:"message"`
	Details    map[string]any `json:"details,omitempty"`
	RetryAfter time.Duration  `json:"retry_after,omitempty"`
}

// bound ties a ciphertext to its key, so that rows cannot be exchanged.
func (k Key) bound() []byte { return []byte(k.Scope + "\x00" + k.Key) }

func (s *Store) seal(k Key, a answer) ([]byte, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the answer to an idempotent call: %w", err)
	}
	return s.ring.Seal(sealPurpose, plain, k.bound())
}

// recall is the answer of the first call.
func recall[T any](s *Store, r reservation) (T, error) {
	var (
		value T
		kept  struct {
			Value   json.RawMessage `json:"value"`
			Refused *storedRefusal  `json:"refused"`
		}
	)
	plain, err := s.ring.Open(sealPurpose, r.answer, r.bound())
	if errors.Is(err, keyring.ErrUnknownKey) {
		return value, masterkey.ErrMissing.Because(err)
	}
	if err == nil {
		err = json.Unmarshal(plain, &kept)
	}
	switch {
	case err != nil:
	case kept.Refused != nil:
		return value, kept.Refused.error()
	case kept.Value != nil:
		err = json.Unmarshal(kept.Value, &value)
	}
	if err != nil {
		return value, fmt.Errorf("read the kept answer to an idempotent call: %w", err)
	}
	return value, nil
}

// keepRefusal stores err if it is an answer, and tells whether it did.
func (s *Store) keepRefusal(ctx context.Context, r reservation, err error) bool {
	e := refusal(err)
	if e == nil {
		return false
	}
	a := answer{Refused: &storedRefusal{
		Kind: e.Kind.String(), Code: e.Code, Message: e.Message, Details: e.Details, RetryAfter: e.RetryAfter,
	}}
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return s.keep(tx, r, a) }) == nil
}

// refusal is err as an error that blames the caller and would be the same again, or nil.
func refusal(err error) *apierr.Error {
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind == apierr.RateLimited || errors.Is(e, ErrInUse) {
		return nil
	}
	if status := e.Kind.Status(); status < 400 || status > 499 {
		return nil
	}
	return e
}

func (f storedRefusal) error() *apierr.Error {
	return &apierr.Error{
		Kind: apierr.ParseKind(f.Kind), Code: f.Code, Message: f.Message, Details: f.Details, RetryAfter: f.RetryAfter,
	}
}
