package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	// publishAhead is how long a new key is published before it signs: twice the time for which others keep the key
	// set.
	publishAhead = 10 * time.Minute
	// keptAfter is how long a key stays published after the last token that it may have signed ended.
	keptAfter = 24 * time.Hour
	kidBytes  = 8
)

// SigningKey signs tokens from SignsFrom until the next generation does. License files and leases are signed by others:
// licensefile.Key and keyring.SigningKey, in the license service.
type SigningKey struct {
	// ID is the kid, under which the public half is published.
	ID         string
	Generation int
	Private    ed25519.PrivateKey
	CreatedAt  time.Time
	SignsFrom  time.Time
	// NeededUntil is the latest end of a long-lived token that the key signed; zero: it signed none.
	NeededUntil time.Time
	// RevokedAt is when the key was withdrawn: it signs nothing and no token of it is accepted. Zero: it is in force.
	RevokedAt time.Time
}

func newSigningKey(generation int, now, signsFrom time.Time) (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("make a signing key: %w", err)
	}
	id := make([]byte, kidBytes)
	if _, err := rand.Read(id); err != nil {
		return SigningKey{}, fmt.Errorf("name a signing key: %w", err)
	}
	return SigningKey{
		ID:         hex.EncodeToString(id),
		Generation: generation,
		Private:    private,
		CreatedAt:  now,
		SignsFrom:  signsFrom,
	}, nil
}

// public is the second half of the private key, as crypto/ed25519 has it. It is for reading.
func (k SigningKey) public() ed25519.PublicKey {
	return ed25519.PublicKey(k.Private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// inForce leaves the revoked keys out.
func inForce(keys []SigningKey) []SigningKey {
	var kept []SigningKey
	for _, k := range keys {
		if k.RevokedAt.IsZero() {
			kept = append(kept, k)
		}
	}
	return kept
}

// signer is the newest key whose time has come. keys are in the order of their generations, at least one, none of
// them revoked.
func signer(keys []SigningKey, now time.Time) SigningKey {
	for i := len(keys) - 1; i > 0; i-- {
		if !keys[i].SignsFrom.After(now) {
			return keys[i]
		}
	}
	return keys[0]
}

// published are the keys that a token in force may name: all that have not been replaced for longer than their tokens
// live.
func published(keys []SigningKey, now time.Time) map[string]ed25519.PublicKey {
	set := map[string]ed25519.PublicKey{}
	for i, k := range keys {
		if isPublished(keys, i, now) {
			set[k.ID] = k.public()
		}
	}
	return set
}

// publishedKey is the key of published that is named kid, nil when there is none.
func publishedKey(keys []SigningKey, kid string, now time.Time) ed25519.PublicKey {
	for i, k := range keys {
		if k.ID == kid && isPublished(keys, i, now) {
			return k.public()
		}
	}
	return nil
}

func isPublished(keys []SigningKey, i int, now time.Time) bool {
	return i+1 == len(keys) || !now.After(needed(keys[i], keys[i+1]).Add(keptAfter))
}

// needed is when the last token of k ends at the latest.
func needed(k, next SigningKey) time.Time {
	end := next.SignsFrom.Add(AccessFor)
	if k.NeededUntil.After(end) {
		return k.NeededUntil
	}
	return end
}
