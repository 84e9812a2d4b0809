package rpc

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

// Identity is who a service is to its peers.
type Identity struct {
	// Service is the caller's name, for example "license".
	Service string
	// Key signs its service tokens; no other service has it.
	Key ed25519.PrivateKey
}

// NewIdentity makes one with a new key.
func NewIdentity(service string) Identity {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("rpc: " + err.Error()) // crypto/rand does not fail
	}
	return Identity{Service: service, Key: key}
}

// ParseKey reads a private key: base64 of 32 random bytes, the seed of RFC 8032.
func ParseKey(s string) (ed25519.PrivateKey, error) {
	seed, err := keyring.ParseKey(s)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// FormatKey writes what ParseKey reads.
func FormatKey(key ed25519.PrivateKey) string { return base64.StdEncoding.EncodeToString(key.Seed()) }

func (id Identity) public() ed25519.PublicKey { return id.Key.Public().(ed25519.PublicKey) }

// PeerEntry announces the public key of an identity to its peers, as ParsePeers reads it.
func (id Identity) PeerEntry() string {
	return id.Service + ":" + base64.StdEncoding.EncodeToString(id.public())
}

// Peers are the public keys of services by name. A service has several while its key is being changed. token.go
// verifies calls by them; Callers says who may ask what.
type Peers map[string][]ed25519.PublicKey

// ParsePeers reads entries such as "license:" and base64 of the 32 bytes of a public key. A service may be there
// several times.
func ParsePeers(entries []string) (Peers, error) {
	peers := Peers{}
	for i, entry := range entries {
		service, encoded, ok := strings.Cut(strings.TrimSpace(entry), ":")
		key, err := keyring.ParseKey(encoded)
		if !ok || service == "" || err != nil {
			// Not quoted: it may be a private key by mistake.
			return nil, fmt.Errorf("entry %d is not the name of a service, a colon, and base64 of a public key of "+
				"32 bytes", i+1)
		}
		peers[service] = append(peers[service], key)
	}
	return peers, nil
}

// Knows reports whether the peers of id, if they all have these Peers, accept its tokens.
func (p Peers) Knows(id Identity) bool {
	return slices.ContainsFunc(p[id.Service], func(key ed25519.PublicKey) bool { return key.Equal(id.public()) })
}

// find returns the key of a service by its id, or nil.
func (p Peers) find(service, kid string) ed25519.PublicKey {
	for _, key := range p[service] {
		if keyID(key) == kid {
			return key
		}
	}
	return nil
}

// keyID names a public key in the header of a token.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}
