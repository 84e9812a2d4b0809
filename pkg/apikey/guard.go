package apikey

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	keysKept = 50_000
	freshFor = time.Minute
)

// Options are what a guard works with.
type Options struct {
	Clock   clock.Clock
	Limiter ratelimit.Limiter
	// Link reports whether the events of Events arrive. Nil counts as alive and prompt.
	Link cache.Link
	// Attempts, when not nil, bounds the refused keys that one client address may try.
	Attempts *guard.Attempts
}

// Guard admits requests by API key.
type Guard struct {
	source Source
	opts   Options
	keys   *cache.Cache[[32]byte, *Key]
}

// NewGuard makes a guard. Let it learn of changes by OnEvent and OnGap. While auth is away, keys that were seen before
// are good for cache.PeerAwayFor, 15 minutes, and where no invalidations arrive either for cache.UnlinkedFor, 5
// seconds; others are 503 SERVICE_UNAVAILABLE.
func NewGuard(source Source, opts Options) *Guard {
	bounds := cache.Options{
		Capacity: keysKept,
		TTL:      freshFor,
		Stale:    cache.PeerAwayFor,
		Unlinked: cache.UnlinkedFor,
		Link:     opts.Link,
	}
	return &Guard{source: source, opts: opts, keys: cache.New[[32]byte, *Key](bounds, opts.Clock)}
}

// Counts are the look-ups of keys so far that found one in memory, and those that did not.
func (g *Guard) Counts() (hits, misses uint64) { return g.keys.Counts() }

// Events are the types of event that OnEvent is for. Each carries the id of the key that changed.
func Events() []string {
	return []string{
		eventsv1.TypeApiKeyRevoked, eventsv1.TypeApiKeyRotated, eventsv1.TypeApiKeyUpdated,
	}
}

// OnEvent forgets the key that changed, and no other.
func (g *Guard) OnEvent(e event.Event) {
	if !slices.Contains(Events(), e.Type) {
		return
	}
	var changed struct {
		ID string `json:"api_key_id"`
	}
	if json.Unmarshal(e.Data, &changed) != nil {
		g.keys.DropAll()
		return
	}
	g.keys.DropIf(func(_ [32]byte, k *Key) bool { return k.ID == changed.ID })
}

// OnGap has all keys looked up again because an event may have been missed.
func (g *Guard) OnGap() { g.keys.DropAll() }

// Require lets a request through that carries a valid key (else 401 INVALID_API_KEY) which covers the endpoint (else
// 403 ENDPOINT_NOT_ALLOWED) and has allowance left (else 429 RATE_LIMIT_EXCEEDED). Every answer to a limited key
// carries its X-RateLimit headers. Calls that end in a 5xx are given back, except where the client left before its
// answer: it may have had its work.
func (g *Guard) Require() gin.HandlerFunc {
	return func(c *gin.Context) {
		key, err := g.identify(c)
		if err != nil {
			httpx.WriteError(c, err)
			return
		}
		httpx.SetCaller(c, key)
		bucket := key.ID
		if key.PerAddress {
			bucket += "|" + httpx.ClientNetwork(c)
		}
		d := g.opts.Limiter.Take(c.Request.Context(), bucket, key.Limit)
		setHeaders(c.Writer.Header(), d)
		switch {
		case !Allows(key.Allowed, c.Request.URL.Path):
			httpx.WriteError(c, ErrNotAllowed)
		case !d.Allowed:
			httpx.WriteError(c, ratelimit.ErrExceeded.WithRetryAfter(d.RetryAfter))
		default:
			serve(c, g.opts.Limiter, bucket, d)
		}
	}
}

// Spend does for a caller who was admitted otherwise what Require does by a key's allowance.
func Spend(c *gin.Context, l ratelimit.Limiter, bucket string, limit ratelimit.Limit) {
	d := l.Take(c.Request.Context(), bucket, limit)
	setHeaders(c.Writer.Header(), d)
	if !d.Allowed {
		httpx.WriteError(c, ratelimit.ErrExceeded.WithRetryAfter(d.RetryAfter))
		return
	}
	serve(c, l, bucket, d)
}

// serve runs the handlers and gives the call back when they fail or panic, which a client that left can bring about as
// often as it likes.
func serve(c *gin.Context, l ratelimit.Limiter, bucket string, d ratelimit.Decision) {
	ctx, ended := c.Request.Context(), false
	defer func() {
		failed := !ended || c.Writer.Status() >= http.StatusInternalServerError
		if failed && d.Limited() && !httpx.ClientLeft(ctx) {
			l.Refund(ctx, bucket)
		}
	}()
	c.Next()
	ended = true
}

// identify finds the key of the request's secret.
func (g *Guard) identify(c *gin.Context) (*Key, error) {
	text := httpx.Credential(c.Request.Header, canonicalHeader)
	if !secret.WellFormed(Prefix, text) {
		return nil, g.opts.Attempts.Refuse(c, ErrInvalid)
	}
	sum := secret.Hash(text)
	if key, ok := g.keys.Peek(sum); ok {
		if err := g.check(key); err != nil {
			return nil, g.opts.Attempts.RefuseEnded(c, guard.Made(sum), err)
		}
		return key, nil
	}
	return g.lookUp(c, sum)
}

// check refuses a key that is not in force any more.
func (g *Guard) check(k *Key) error {
	if k.Ended || !k.ExpiresAt.IsZero() && !g.opts.Clock.Now().Before(k.ExpiresAt) {
		return ErrInvalid.WithCause(secret.ErrEnded)
	}
	return nil
}

// lookUp asks the source, after others of an address of which too many keys were refused.
func (g *Guard) lookUp(c *gin.Context, sum [32]byte) (key *Key, err error) {
	err = g.opts.Attempts.Try(c, guard.Made(sum), func() error {
		key, _, err = g.keys.Fetch(c.Request.Context(), sum, func(ctx context.Context) (*Key, error) {
			key, err := g.source.LookUpAPIKey(ctx, sum)
			return &key, err
		})
		if err == nil {
			err = g.check(key)
		}
		return err
	})
	return key, err
}

// setHeaders writes the headers under their canonical names, which spares a conversion per request.
func setHeaders(h http.Header, d ratelimit.Decision) {
	if !d.Limited() {
		return
	}
	v := [3]string{strconv.Itoa(d.Limit), strconv.Itoa(d.Remaining), strconv.Itoa(int(d.Reset / time.Second))}
	h["X-Ratelimit-Limit"] = v[0:1:1]
	h["X-Ratelimit-Remaining"] = v[1:2:2]
	h["X-Ratelimit-Reset"] = v[2:3:3]
}
