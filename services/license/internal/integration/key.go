package integration

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Key is what a client signs with: it names itself by APIKey or ClientID, and signs with the secret that goes with it.
type Key struct {
	ID            string
	IntegrationID string
	// APIKey is a UUID. It is known when the key has just been made, and stored as APIKeyHash.
	APIKey     string
	APIKeyHash [sha256.Size]byte
	SharedKey  string
	// ClientID and ClientSecret are those of OAuth.
	ClientID, ClientSecret string
	CreatedAt              time.Time
	// ValidUntil is zero for the current key.
	ValidUntil time.Time
}

func newKey(now time.Time) Key {
	apiKey := uuid.NewString()
	return Key{
		ID:           newID(),
		APIKey:       apiKey,
		APIKeyHash:   secret.Hash(apiKey),
		SharedKey:    secret.New(""),
		ClientID:     uuid.NewString(),
		ClientSecret: secret.New(""),
		CreatedAt:    now,
	}
}

// Live reports whether the key still signs at a time.
func (k *Key) Live(i *Integration, now time.Time) bool {
	return i.DeletedAt.IsZero() && (k.ValidUntil.IsZero() || now.Before(k.ValidUntil))
}

// Signer is a key and whose it is. It must not be changed.
type Signer struct {
	Integration *Integration
	Key         *Key
}

// responseBits is the size of the key that signs answers: each answer carries up to two signatures, which would cost
// seven times as much with the next common size.
const responseBits = 2048

// ResponseKeys are the keys that sign our answers. They are made when they are first needed.
type ResponseKeys struct {
	store ResponseStore
	clock clock.Clock
	made  *cache.Cache[string, *ResponseKey]
	mu    sync.Mutex // guards candidates
	// candidates are the keys, by kind, that this process would have stored.
	candidates map[string][]byte
}

// NewResponseKeys returns the keys that a store keeps.
func NewResponseKeys(store ResponseStore, c clock.Clock) *ResponseKeys {
	options := cache.Options{Capacity: 4, TTL: time.Hour, Stale: 24 * time.Hour}
	return &ResponseKeys{
		store: store, clock: c, made: cache.New[string, *ResponseKey](options, c), candidates: map[string][]byte{},
	}
}

// ResponseKey is an RSA key.
type ResponseKey struct{ *rsa.PrivateKey }

// errNoKey tells that none was made yet.
var errNoKey = errors.New("integration: there is no key yet")

// Key is the key of the integrations of a kind. One is made outside of the load of the cache: on a busy computer that
// takes longer than a load may.
func (s *ResponseKeys) Key(ctx context.Context, kind string) (*ResponseKey, error) {
	key, _, err := s.made.Fetch(ctx, kind, func(ctx context.Context) (*ResponseKey, error) {
		der, err := s.store.ResponseKey(ctx, kind)
		if err == nil && der == nil {
			err = errNoKey
		}
		return parseResponseKey(der, err)
	})
	if !errors.Is(err, errNoKey) {
		return key, err
	}
	candidate, err := s.candidate(kind)
	if err != nil {
		return nil, err
	}
	return parseResponseKey(s.store.AddResponseKey(ctx, kind, candidate, s.clock.Now()))
}

// candidate is the key that becomes that of a kind if there is none yet. Anybody may ask for the public half, and while
// the database takes no changes none is stored: so one is made, and kept for the next try.
func (s *ResponseKeys) candidate(kind string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidates[kind] == nil {
		made, err := rsa.GenerateKey(rand.Reader, responseBits)
		if err != nil {
			return nil, err
		}
		s.candidates[kind] = x509.MarshalPKCS1PrivateKey(made)
	}
	return s.candidates[kind], nil
}

func parseResponseKey(der []byte, err error) (*ResponseKey, error) {
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	return &ResponseKey{key}, err
}

// PublicPEM is the public half, as openssl writes it.
func (k *ResponseKey) PublicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		panic("integration: " + err.Error()) // of RSA keys none fails
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
