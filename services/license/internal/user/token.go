package user

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	// tokenLife is how long a user stays signed in.
	tokenLife = 30 * 24 * time.Hour

	tokenPrefix  = "usr_"
	tokenPurpose = "user-token"
	// A token is the id of the user, what Credentials were, and its end in Unix seconds; a MAC of them follows.
	payloadSize = 16 + 8 + 8
	macSize     = 32
)

// Tokens proves users who have signed in: nothing is stored of a token, so nobody can fill a table by signing in.
type Tokens struct {
	Ring   *keyring.Ring
	Lookup licensing.Users
	Clock  clock.Clock
}

// Issue makes the token of a user, and tells when it ends.
func (t *Tokens) Issue(u *User) (token string, expiresAt time.Time) {
	expiresAt = t.Clock.Now().Add(tokenLife).UTC().Truncate(time.Second)
	id, _ := uid.Bytes(u.ID)
	b := append(make([]byte, 0, payloadSize+macSize), id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(u.Credentials))
	b = binary.BigEndian.AppendUint64(b, uint64(expiresAt.Unix()))
	mac := t.Ring.MAC(tokenPurpose, b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, mac.Sum[:]...)), expiresAt
}

// Check finds the user of a token. Errors: licensing.ErrCredentials for one that is not ours, has ended or is void, as
// setPassword (user.go) makes it.
func (t *Tokens) Check(ctx context.Context, token string) (*licensing.User, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if err != nil || len(b) != payloadSize+macSize || !t.signed(b[:payloadSize], b[payloadSize:]) {
		return nil, licensing.ErrCredentials
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(b[24:])), 0)
	if !t.Clock.Now().Before(ends) {
		return nil, licensing.ErrCredentials
	}
	u, err := t.Lookup.User(ctx, uuid.UUID(b[:16]).String())
	if err != nil {
		return nil, err
	}
	if u == nil || uint64(u.Credentials) != binary.BigEndian.Uint64(b[16:24]) && !u.IsLocked {
		return nil, licensing.ErrCredentials
	}
	return u, nil
}

func (t *Tokens) signed(payload, sum []byte) bool {
	for _, mac := range t.Ring.MACs(tokenPurpose, payload) {
		if subtle.ConstantTimeCompare(mac.Sum[:], sum) == 1 {
			return true
		}
	}
	return false
}
