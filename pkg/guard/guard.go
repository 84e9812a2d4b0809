// Package guard keeps client addresses from guessing credentials: API keys, admin keys, the admin secret, refresh
// tokens and signed tokens. An address that had too many refused within a minute is answered 429 before its next
// credential is looked at, so that a guesser whose next guess is right does not learn it. What nobody can guess,
// because package secret made it, is looked at nevertheless, one at a time and so many a second: honest callers behind
// the same address are not locked out by an old client, also not by a process that has just started, and a flood costs
// a bounded number of look-ups. No request header changes what an address may do; which one a client has, only a
// trusted proxy says (pkg/httpx/proxies.go).
//
// License keys are not counted. A caller that tries them needs an API key, whose rate limit bounds the calls
// (apikey.Guard.Require; 60 a minute and 1,000 an hour unless its maker says otherwise, in auth's
// credential/apikey_members.go), and is found by analytics' detector key_enumeration.
package guard

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

const (
	window = time.Minute
	// atOnce is how many unknown credentials of one address are checked concurrently; further ones wait.
	atOnce = 4
	// goodFor is how long a credential that passed is looked at whatever others failed with: as long as a refresh token
	// lives, which is shown an hour or weeks after it was made.
	goodFor = 30 * 24 * time.Hour
	// What is remembered at most: credentials that passed, and addresses that failed.
	goodKept      = 50_000
	addressesKept = 50_000
)

// ErrLimited refuses an address that had too many credentials refused.
var ErrLimited = apierr.New(apierr.RateLimited, errcode.RateLimitExceeded,
	"too many refused credentials came from this address; correct the credential, and wait as long as Retry-After says")

// Attempts bounds the refused credentials of one kind that an address may send. Each process counts by itself: a
// failure must not cost a statement of the database. A nil Attempts bounds nothing.
type Attempts struct {
	clock clock.Clock
	limit int
	good  *otter.Cache[[sha256.Size]byte, int64] // when it passed last, in Unix microseconds

	mu        sync.Mutex
	addresses map[string]*address
	sweepAt   int64
}

// New makes a guard that admits limit failures per address within any minute. The limits of the services are in
// pkg/app/clients.go.
func New(c clock.Clock, limit int) *Attempts {
	good := otter.Must(&otter.Options[[sha256.Size]byte, int64]{MaximumSize: goodKept})
	return &Attempts{clock: c, limit: limit, good: good, addresses: map[string]*address{}}
}

// Try runs check on a credential, unless the client's address had too many refused. A check that ends in a 401
// counts against the address, or against the credential alone where it is secret.ErrEnded; so does one whose client
// left before its end. A credential that passed within goodFor is always looked at. Others of one address wait in the
// order in which they came, as long as the request may take, and are looked at four at a time; beyond the limit only
// those that Made identifies, one at a time, up to madeBurst at once and madePerSecond after that.
func (a *Attempts) Try(c *gin.Context, credential Credential, check func() error) error {
	if a == nil {
		return check()
	}
	from := httpx.ClientNetwork(c)
	if !a.wasGood(credential) {
		entered, err := a.enter(c.Request.Context(), from, credential)
		if err != nil {
			return err
		}
		defer a.leave(entered)
	}
	err := check()
	switch {
	case err == nil:
		a.Trust(credential)
	case refusal(err):
		a.good.Invalidate(credential.sum)
		return a.RefuseEnded(c, credential, err)
	case httpx.ClientLeft(c.Request.Context()) && !a.wasGood(credential):
		_ = a.fail(from) // its look-up must not be free; nobody waits for the answer
	}
	return err
}

// Trust remembers a valid credential, as if it had just passed.
func (a *Attempts) Trust(credential Credential) {
	if a != nil {
		a.good.Set(credential.sum, a.clock.Now().UnixMicro())
	}
}

// Refuse counts a failure that is known without looking further: no credential, two, or none that could ever pass. It
// returns err, or ErrLimited when the address had too many before. Errors that are not a 401 are returned as they are.
func (a *Attempts) Refuse(c *gin.Context, err error) error {
	return a.refuse(httpx.ClientNetwork(c), err)
}

// RefuseToken is Refuse for a signed token. Its signature proves what it is, so good ones are never refused for others'
// failures, and one of ours that has ended is no guess: it counts by itself, not against its address.
func (a *Attempts) RefuseToken(c *gin.Context, raw string, err error) error {
	return a.RefuseEnded(c, Made(sha256.Sum256([]byte(raw))), err)
}

// RefuseEnded is Refuse for a credential that may once have been valid. If err says so, it is no guess, and counts by
// itself: an old client must not use up the attempts of other clients.
func (a *Attempts) RefuseEnded(c *gin.Context, credential Credential, err error) error {
	from := httpx.ClientNetwork(c)
	if errors.Is(err, secret.ErrEnded) || token.Ours(err) {
		from += "|" + string(credential.sum[:])
	}
	return a.refuse(from, err)
}

// refuse counts a failure, unless there were too many before.
func (a *Attempts) refuse(from string, err error) error {
	if a == nil || !refusal(err) {
		return err
	}
	if limited := a.fail(from); limited != nil {
		return limited
	}
	return err
}

func (a *Attempts) wasGood(credential Credential) bool {
	at, ok := a.good.GetIfPresent(credential.sum)
	age := a.clock.Now().UnixMicro() - at
	return ok && age >= 0 && age < goodFor.Microseconds() // from the future: the clock was set back
}

// refusal tells a verdict on a credential from a failure to reach one.
func refusal(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Kind == apierr.Unauthenticated
}
