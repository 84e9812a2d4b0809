package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const (
	minPassword = 8
	maxPassword = 256

	// The parameters that OWASP advises for argon2id: 19 MiB and two passes.
	memory   = 19 << 10
	passes   = 2
	threads  = 1
	saltSize = 16
	hashSize = 32

	// patience is how long a call waits for its turn to hash.
	patience = 2 * time.Second
)

// Passwords hashes passwords, a few at once: each takes memory and a processor for a while, and strangers cause them.
// What a new password makes void is decided by setPassword (user.go); what that means for each kind of token is in
// docs/licensing/users-and-groups.md.
type Passwords struct {
	turns chan struct{}
	// dummy is compared with for e-mails that nobody has.
	dummy string
}

// NewPasswords lets half of the processors hash.
func NewPasswords() *Passwords {
	salt := make([]byte, saltSize)
	return &Passwords{
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		dummy: encode(salt, make([]byte, hashSize)),
	}
}

// newPassword is one of 100 bits, in letters and digits that nobody confuses.
func newPassword() string { return rand.Text()[:20] }

// Hash is the hash of a password in the form of PHC. Errors: apierr.ErrUnavailable where too many hash.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	sum, err := p.sum(ctx, password, salt)
	return encode(salt, sum), err
}

// Matches reports whether a hash is that of a password; an empty one costs the same and matches nothing. Errors: as
// Hash.
func (p *Passwords) Matches(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	salt, want, err := decode(hash)
	if err != nil {
		return false, err
	}
	sum, err := p.sum(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(sum, want) == 1 && known, err
}

// sum waits for a turn. Whoever runs out of time meanwhile costs nothing.
func (p *Passwords) sum(ctx context.Context, password string, salt []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, apierr.ErrUnavailable.WithCause(ctx.Err()).WithRetryAfter(patience)
	}
	defer func() { <-p.turns }()
	return argon2.IDKey([]byte(password), salt, passes, memory, threads, hashSize), nil
}

const form = "$argon2id$v=19$m=%d,t=%d,p=%d$"

func encode(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf(form, memory, passes, threads) + b64.EncodeToString(salt) + "$" + b64.EncodeToString(sum)
}

// decode reads what encode wrote. Other parameters than ours are none of ours.
func decode(hash string) (salt, sum []byte, err error) {
	prefix := fmt.Sprintf(form, memory, passes, threads)
	b64 := base64.RawStdEncoding
	saltEnd := len(prefix) + b64.EncodedLen(saltSize)
	if len(hash) != saltEnd+1+b64.EncodedLen(hashSize) || hash[:len(prefix)] != prefix {
		return nil, nil, fmt.Errorf("a stored password hash has another form than %q", prefix)
	}
	if salt, err = b64.DecodeString(hash[len(prefix):saltEnd]); err != nil {
		return nil, nil, fmt.Errorf("salt of a stored password hash: %w", err)
	}
	if sum, err = b64.DecodeString(hash[saltEnd+1:]); err != nil {
		return nil, nil, fmt.Errorf("sum of a stored password hash: %w", err)
	}
	return salt, sum, nil
}
