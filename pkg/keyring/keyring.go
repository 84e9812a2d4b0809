// Package keyring makes keyed hashes and ciphertexts under the suite's master key. Every service and purpose has keys
// of its own, derived by HKDF-SHA256, and every result names the master key it was made under, so that master keys can
// change: the current one makes, the others check and open.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32

	// NameAt and NameSize are where the name of the master key is in what Seal returns, in bytes.
	NameAt   = 1
	NameSize = 8

	nonceSize = 12
	// format is the first byte of what Seal returns: format, name of the master key, nonce, ciphertext with tag.
	format = 1
)

// ErrUnknownKey says that something was sealed under a master key that is not in the ring.
var ErrUnknownKey = errors.New("keyring: sealed under a master key that is not configured")

// ErrTampered says that a ciphertext, or what it was bound to, is not what was sealed.
var ErrTampered = errors.New("keyring: the sealed value was changed, or belongs elsewhere")

// MAC is a keyed hash and the name of the master key it was made under.
type MAC struct {
	Key string
	Sum [32]byte
}

// Ring holds the derived keys of one service. It is safe for concurrent use.
type Ring struct {
	service string
	masters []master
	mu      sync.RWMutex
	derived map[string][]*keys // by purpose, in the order of masters
}

type master struct {
	name string
	key  []byte
}

// keys are what one master key yields for one purpose.
type keys struct {
	hashes sync.Pool // of hash.Hash, keyed
	aead   cipher.AEAD
}

// New makes the ring of a service. Keys are 32 random bytes each; others are those that were or will be current: they
// check and open, and make nothing.
func New(service string, current []byte, others ...[]byte) (*Ring, error) {
	r := &Ring{service: service, derived: map[string][]*keys{}}
	for _, key := range append([][]byte{current}, others...) {
		if len(key) != KeySize {
			return nil, fmt.Errorf("keyring: a master key has %d bytes, it needs %d", len(key), KeySize)
		}
		id, err := hkdf.Key(sha256.New, key, nil, "latchkey/name", NameSize/2)
		if err != nil {
			return nil, fmt.Errorf("keyring: name a master key: %w", err)
		}
		r.masters = append(r.masters, master{name: hex.EncodeToString(id), key: key})
	}
	return r, nil
}

// ParseKey reads a key of KeySize bytes, as settings hold it: base64 of the standard or the URL alphabet, padded or
// not.
func ParseKey(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(s), "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(key) != KeySize {
		// The decoder's error would quote the key.
		return nil, fmt.Errorf("must be base64 of %d bytes", KeySize)
	}
	return key, nil
}

// Name is the short public name of the current master key.
func (r *Ring) Name() string { return r.masters[0].name }

// Names are the short public names of all master keys, the current one first.
func (r *Ring) Names() []string {
	names := make([]string, len(r.masters))
	for i, m := range r.masters {
		names[i] = m.name
	}
	return names
}

// Has reports whether the master key of that name is in the ring.
func (r *Ring) Has(name string) bool { return slices.Contains(r.Names(), name) }

// MAC is the keyed hash of data under the current master key.
func (r *Ring) MAC(purpose string, data []byte) MAC {
	return MAC{Key: r.masters[0].name, Sum: r.keys(purpose)[0].sum(data)}
}

// MACs are the keyed hashes of data under every master key, the current one first: a value stored earlier is one of
// them.
func (r *Ring) MACs(purpose string, data []byte) []MAC {
	derived := r.keys(purpose)
	macs := make([]MAC, len(derived))
	for i, k := range derived {
		macs[i] = MAC{Key: r.masters[i].name, Sum: k.sum(data)}
	}
	return macs
}

// SigningKey is a pair of keys for signatures (Ed25519) and the name of the master key that it was made from.
type SigningKey struct {
	Name string
	Key  ed25519.PrivateKey
}

// SigningKeys are the pairs for a purpose from every master key, the current one first: what was signed earlier was
// signed by one of them. Making them takes a moment, so callers keep them.
func (r *Ring) SigningKeys(purpose string) []SigningKey {
	keys := make([]SigningKey, len(r.masters))
	for i, m := range r.masters {
		keys[i] = SigningKey{Name: m.name, Key: ed25519.NewKeyFromSeed(stretch(m.key, "sign", r.service, purpose))}
	}
	return keys
}

// Seal encrypts plain under the current master key (AES-256-GCM). bound is what it belongs to, a row's id for instance:
// Open demands the same.
func (r *Ring) Seal(purpose string, plain, bound []byte) ([]byte, error) {
	name := r.masters[0].name
	sealed := make([]byte, NameAt+NameSize+nonceSize, NameAt+NameSize+nonceSize+len(plain)+16)
	sealed[0] = format
	copy(sealed[NameAt:], name)
	nonce := sealed[NameAt+NameSize:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("keyring: nonce: %w", err)
	}
	return r.keys(purpose)[0].aead.Seal(sealed, nonce, plain, associated(name, bound)), nil
}

// Open decrypts what Seal made for the same service, purpose and bound. It fails with ErrUnknownKey or ErrTampered.
func (r *Ring) Open(purpose string, sealed, bound []byte) ([]byte, error) {
	name := r.SealedBy(sealed)
	if name == "" {
		return nil, ErrTampered
	}
	for i, m := range r.masters {
		if m.name != name {
			continue
		}
		nonce, box := sealed[NameAt+NameSize:][:nonceSize], sealed[NameAt+NameSize+nonceSize:]
		plain, err := r.keys(purpose)[i].aead.Open(nil, nonce, box, associated(name, bound))
		if err != nil {
			return nil, ErrTampered
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%w (key %s)", ErrUnknownKey, name)
}

// SealedBy names the master key that sealed was made under, or is empty when sealed is not a ciphertext of a ring.
func (r *Ring) SealedBy(sealed []byte) string {
	if len(sealed) < NameAt+NameSize+nonceSize+16 || sealed[0] != format {
		return ""
	}
	return string(sealed[NameAt : NameAt+NameSize])
}

func associated(name string, bound []byte) []byte {
	return append([]byte(name+"/"), bound...)
}

func (r *Ring) keys(purpose string) []*keys {
	r.mu.RLock()
	derived := r.derived[purpose]
	r.mu.RUnlock()
	if derived != nil {
		return derived
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if derived = r.derived[purpose]; derived == nil {
		for _, m := range r.masters {
			derived = append(derived, derive(m.key, r.service, purpose))
		}
		r.derived[purpose] = derived
	}
	return derived
}

// derive stretches a master key of the right length; none of its steps can fail then.
func derive(masterKey []byte, service, purpose string) *keys {
	block, err := aes.NewCipher(stretch(masterKey, "seal", service, purpose))
	if err != nil {
		panic("keyring: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	macKey := stretch(masterKey, "mac", service, purpose)
	return &keys{aead: aead, hashes: sync.Pool{New: func() any { return hmac.New(sha256.New, macKey) }}}
}

// stretch derives 32 bytes for one use.
func stretch(masterKey []byte, use, service, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, masterKey, nil, "latchkey/"+use+"/"+service+"/"+purpose, 32)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	return key
}

func (k *keys) sum(data []byte) (sum [32]byte) {
	h := k.hashes.Get().(hash.Hash)
	h.Write(data)
	h.Sum(sum[:0])
	h.Reset()
	k.hashes.Put(h)
	return sum
}
