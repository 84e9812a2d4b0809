package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// jwk is a public key as RFC 7517 and RFC 8037 write it.
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// EncodeJWKS writes a key set as JSON (RFC 7517), ordered by key id.
func EncodeJWKS(keys map[string]ed25519.PublicKey) []byte {
	set := jwks{Keys: []jwk{}}
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		x := base64.RawURLEncoding.EncodeToString(keys[kid])
		set.Keys = append(set.Keys, jwk{
			KeyType:   "OKP",
			Curve:     "Ed25519",
			Use:       "sig",
			Algorithm: "EdDSA",
			ID:        kid,
			X:         x,
		})
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic("token: " + err.Error()) // strings alone: it cannot fail
	}
	return b
}

// ParseJWKS reads a key set. Keys of other kinds are passed over; a damaged or doubled Ed25519 key spoils the whole
// set.
func ParseJWKS(b []byte) (map[string]ed25519.PublicKey, error) {
	var set jwks
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, k := range set.Keys {
		if k.KeyType != "OKP" || k.Curve != "Ed25519" {
			continue
		}
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize || k.ID == "" || keys[k.ID] != nil {
			return nil, errors.New("parse key set: a key is damaged or there twice")
		}
		keys[k.ID] = x
	}
	return keys, nil
}
