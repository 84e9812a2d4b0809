package idempotency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

const sealPurpose = "idempotency answers"

// bound ties a ciphertext to its key, so that rows cannot be exchanged.
func (k Key) bound() []byte { return []byte(k.Scope + "\x00" + k.Key) }

func (s *Store) seal(k Key, answer any) ([]byte, error) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // a repeated answer is the first one to the byte, raw JSON within it too
	if err := encoder.Encode(answer); err != nil {
		return nil, fmt.Errorf("encode the answer to an idempotent call: %w", err)
	}
	return s.ring.Seal(sealPurpose, plain.Bytes(), k.bound())
}

// recall is the answer of the first call.
func recall[T any](s *Store, r reservation) (T, error) {
	var value T
	plain, err := s.ring.Open(sealPurpose, r.answer, r.bound())
	if errors.Is(err, keyring.ErrUnknownKey) {
		return value, masterkey.ErrMissing.WithCause(err)
	}
	if err == nil {
		err = json.Unmarshal(plain, &value)
	}
	if err != nil {
		return value, fmt.Errorf("read the kept answer to an idempotent call: %w", err)
	}
	return value, nil
}
