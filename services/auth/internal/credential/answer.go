package credential

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

const answerPurpose = "answer of a refresh"

// answerRing has a key that comes of a refresh token. The database knows the token by another hash, so neither it nor
// the master key opens what is sealed with it.
func answerRing(raw string) (*keyring.Ring, error) {
	key, err := hkdf.Key(sha256.New, []byte(raw), nil, "latchkey/"+answerPurpose, keyring.KeySize)
	if err != nil {
		return nil, fmt.Errorf("make a key of a refresh token: %w", err)
	}
	return keyring.New("auth", key)
}

// sealPair seals a pair for whoever has the refresh token that it is given for.
func sealPair(raw string, p Pair) ([]byte, error) {
	ring, err := answerRing(raw)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a pair: %w", err)
	}
	return ring.Seal(answerPurpose, plain, nil)
}

// openPair opens what sealPair has sealed with the same token; nothing else.
func openPair(raw string, sealed []byte) (p Pair, ok bool) {
	ring, err := answerRing(raw)
	if err != nil {
		return p, false
	}
	plain, err := ring.Open(answerPurpose, sealed, nil)
	return p, err == nil && json.Unmarshal(plain, &p) == nil
}
