package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

type source struct {
	keys    map[[32]byte]apikey.Key
	err     error
	takes   time.Duration
	lookUps atomic.Int32
}

func (s *source) LookUpAPIKey(_ context.Context, sha256 [32]byte) (apikey.Key, error) {
	s.lookUps.Add(1)
	time.Sleep(s.takes)
	if s.err != nil {
		return apikey.Key{}, s.err
	}
	k, ok := s.keys[sha256]
	if !ok {
		return k, apikey.ErrInvalid
	}
	return k, nil
}

type link struct{ alive bool }

func (l *link) Alive() bool { return l.alive }

func (l *link) Prompt() bool { return l.alive }

// rig is a guarded route that answers with status, or panics when it is 0.
type rig struct {
	*testing.T
	clock  *clock.Fake
	source *source
	link   *link
	guard  *apikey.Guard
	engine *gin.Engine
	status int
}

func newRig(t *testing.T) *rig {
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	r := &rig{T: t, clock: now, source: &source{keys: map[[32]byte]apikey.Key{}}, link: &link{alive: true}, status: 200}
	r.guard = apikey.NewGuard(r.source, apikey.Options{
		Clock: now, Limiter: ratelimit.NewLocal(now), Link: r.link, Attempts: guard.New(now, failures),
	})
	r.engine = httpx.NewEngine(httpx.Options{Service: "test", Clock: now})
	r.engine.POST("/api/*path", r.guard.Require(), func(c *gin.Context) {
		if r.status == 0 {
			panic("broken")
		}
		c.String(r.status, apikey.Of(c).ClientName)
	})
	return r
}

// key makes a key known and returns its secret.
func (r *rig) key(k apikey.Key) string {
	s := secret.New(apikey.Prefix)
	k.ID = fmt.Sprint("id-", len(r.source.keys))
	if k.Allowed == nil {
		k.Allowed = []string{"*"}
	}
	r.source.keys[secret.Hash(s)] = k
	return s
}

func (r *rig) call(secret, from string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/api/x", nil)
	req.RemoteAddr = from + ":1234"
	if secret != "" {
		req.Header.Set(apikey.Header, secret)
	}
	rec := httptest.NewRecorder()
	r.engine.ServeHTTP(rec, req)
	return rec
}

func (r *rig) want(rec *httptest.ResponseRecorder, status int) {
	r.Helper()
	if rec.Code != status {
		r.Errorf("got %d %s, want %d", rec.Code, rec.Body, status)
	}
}

const here = "192.0.2.1"

// failures is how many refused keys an address may send a minute.
const failures = 10

func TestGuardKeepsKeys(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{ClientName: "app"})
	for range 5 {
		if rec := r.call(s, here); rec.Code != 200 || rec.Body.String() != "app" ||
			rec.Header().Get("X-RateLimit-Limit") != "" {
			t.Fatalf("got %d %s %v", rec.Code, rec.Body, rec.Header())
		}
	}
	if n := r.source.lookUps.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
	r.source.err = apierr.ErrUnavailable
	r.clock.Advance(14 * time.Minute)
	r.want(r.call(s, here), 200)
	r.clock.Advance(time.Minute)
	rec := r.call(s, here)
	r.want(rec, 503)
	if rec.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestGuardWithoutLink(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{})
	r.want(r.call(s, here), 200)
	r.source.err, r.link.alive = apierr.ErrUnavailable, false
	r.clock.Advance(4 * time.Second)
	r.want(r.call(s, here), 200)
	r.clock.Advance(time.Second)
	r.want(r.call(s, here), 503)
}

func TestGuardForgetsOnEvents(t *testing.T) {
	for name, tell := range map[string]func(g *apikey.Guard, id string){
		"revoked": func(g *apikey.Guard, id string) { g.OnEvent(changed("apikey.revoked", id)) },
		"rotated": func(g *apikey.Guard, id string) { g.OnEvent(changed("apikey.rotated", id)) },
		"updated": func(g *apikey.Guard, id string) { g.OnEvent(changed("apikey.updated", id)) },
		"damaged": func(g *apikey.Guard, _ string) {
			g.OnEvent(event.Event{Type: "apikey.revoked", Data: []byte("{")})
		},
		"gap": func(g *apikey.Guard, _ string) { g.OnGap() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.key(apikey.Key{})
			id := r.source.keys[secret.Hash(s)].ID
			r.want(r.call(s, here), 200)
			clear(r.source.keys)
			r.want(r.call(s, here), 200) // from memory
			r.guard.OnEvent(changed("license.updated", id))
			r.guard.OnEvent(changed("apikey.revoked", "another"))
			r.want(r.call(s, here), 200)
			tell(r.guard, id)
			r.want(r.call(s, here), 401)
		})
	}
}

func changed(eventType, id string) event.Event {
	return event.Event{Type: eventType, Data: fmt.Appendf(nil, `{"api_key_id": %q}`, id)}
}

func TestGuardAsksNobodyAboutNonsense(t *testing.T) {
	r := newRig(t)
	good := r.key(apikey.Key{})
	for _, s := range []string{"", "sk_", "sk_your_api_key_here", good + "x", good[:len(good)-1],
		strings.ToUpper(good)} {
		r.want(r.call(s, here), 401)
	}
	if n := r.source.lookUps.Load(); n != 0 {
		t.Errorf("%d look-ups, want none", n)
	}
	for range 2 {
		r.want(r.call(secret.New(apikey.Prefix), here), 401)
	}
	r.want(r.call("\ufeff"+good+"\u200b", here), 200) // pasted from a file
	if n := r.source.lookUps.Load(); n != 3 {
		t.Errorf("%d look-ups of unknown keys and one of a good one, want 3: refusals are not kept", n)
	}
}

func TestGuardExpiry(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{ExpiresAt: r.clock.Now().Add(10 * time.Second)})
	r.want(r.call(s, here), 200)
	r.clock.Advance(10*time.Second - time.Microsecond)
	r.want(r.call(s, here), 200)
	r.clock.Advance(time.Microsecond)
	r.want(r.call(s, here), 401)
}

func TestGuardOrderAndHeaders(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{Allowed: []string{"/elsewhere"}, Limit: ratelimit.Limit{PerMinute: 2, PerHour: 10}})
	for i, remaining := range []string{"1", "0", "0"} {
		rec := r.call(s, here)
		r.want(rec, 403) // before 429
		h := rec.Header()
		if h.Get("X-RateLimit-Limit") != "2" || h.Get("X-RateLimit-Remaining") != remaining ||
			h.Get("X-RateLimit-Reset") != "60" {
			t.Errorf("call %d: %v", i+1, h)
		}
	}
	allowed := r.key(apikey.Key{Limit: ratelimit.Limit{PerMinute: 1}})
	r.status = 404
	r.want(r.call(allowed, here), 404) // counts
	rec := r.call(allowed, here)
	r.want(rec, 429)
	if rec.Header().Get("Retry-After") != "60" || !strings.Contains(rec.Body.String(), "RATE_LIMIT_EXCEEDED") {
		t.Errorf("got %v %s", rec.Header(), rec.Body)
	}
}

func TestFailuresOfOursDoNotCount(t *testing.T) {
	for _, status := range []int{500, 503, 0} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := newRig(t)
			s := r.key(apikey.Key{Limit: ratelimit.Limit{PerMinute: 1}})
			r.status = status
			for range 3 {
				r.want(r.call(s, here), max(status, 500))
			}
			r.status = 200
			r.want(r.call(s, here), 200)
			r.want(r.call(s, here), 429)
		})
	}
}

// TestCallsThatTheClientAbandonsCount: who closes the connection, or its sending half, after each request gets no call
// for nothing.
func TestCallsThatTheClientAbandonsCount(t *testing.T) {
	leave := map[string]func(*net.TCPConn) error{
		"half-closed": (*net.TCPConn).CloseWrite,
		"closed":      (*net.TCPConn).Close,
		"reset":       func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.key(apikey.Key{Limit: ratelimit.Limit{PerMinute: 3}})
			began, ended := make(chan struct{}), make(chan int)
			r.engine.POST("/slow", func(c *gin.Context) {
				c.Next()
				ended <- c.Writer.Status()
			}, r.guard.Require(), httpx.Wrap(func(c *gin.Context) error {
				began <- struct{}{}
				<-c.Request.Context().Done()
				return c.Request.Context().Err()
			}))
			server := httptest.NewServer(r.engine)
			defer server.Close()
			for range 3 {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n%s: %s\r\n\r\n",
					apikey.Header, s)
				<-began
				if err := leave(conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				if status := <-ended; status != 503 {
					t.Errorf("an abandoned call ended with %d", status)
				}
				conn.Close()
			}
			r.want(r.call(s, here), 429)
		})
	}
}

// TestCallsThatWeAreLateWithDoNotCount: a deadline of ours is no leaving.
func TestCallsThatWeAreLateWithDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.key(apikey.Key{Limit: ratelimit.Limit{PerMinute: 1}})
		r.engine.POST("/slow", r.guard.Require(), httpx.Wrap(func(c *gin.Context) error {
			<-c.Request.Context().Done()
			return c.Request.Context().Err()
		}))
		for range 3 {
			req := httptest.NewRequest(http.MethodPost, "/slow", nil)
			req.Header.Set(apikey.Header, s)
			rec := httptest.NewRecorder()
			r.engine.ServeHTTP(rec, req)
			r.want(rec, 503)
		}
		r.want(r.call(s, here), 200)
		r.want(r.call(s, here), 429)
	})
}

func TestLimitPerAddress(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{Limit: ratelimit.Limit{PerMinute: 1}, PerAddress: true})
	r.want(r.call(s, "192.0.2.1"), 200)
	r.want(r.call(s, "192.0.2.1"), 429)
	r.want(r.call(s, "192.0.2.2"), 200)
	r.want(r.call(s, "[2001:db8::1]"), 200)
	r.want(r.call(s, "[2001:db8::2]"), 429) // the same /64
}

// TestManyCallsAfterAGap: what the cache forgot is looked up once, and nobody is refused meanwhile.
func TestManyCallsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.key(apikey.Key{})
		for _, warm := range []bool{false, true} {
			before := r.source.lookUps.Load()
			r.source.takes = time.Second
			var all sync.WaitGroup
			for range 30 {
				all.Go(func() { r.want(r.call(s, here), 200) })
			}
			all.Wait()
			if n := r.source.lookUps.Load() - before; n != 1 {
				t.Errorf("known before: %v: %d look-ups, want 1", warm, n)
			}
			r.guard.OnGap()
		}
	})
}

// TestRevokingOneKeyLeavesTheOthers in memory.
func TestRevokingOneKeyLeavesTheOthers(t *testing.T) {
	r := newRig(t)
	kept, gone := r.key(apikey.Key{}), r.key(apikey.Key{})
	r.want(r.call(kept, here), 200)
	r.want(r.call(gone, here), 200)
	r.guard.OnEvent(changed("apikey.revoked", r.source.keys[secret.Hash(gone)].ID))
	r.source.err = apierr.ErrUnavailable
	r.want(r.call(kept, here), 200)
	r.want(r.call(gone, here), 503)
}

func TestRefusedKeysAreLimitedByAddress(t *testing.T) {
	r := newRig(t)
	good, fresh, expired := r.key(apikey.Key{}), r.key(apikey.Key{}), r.key(apikey.Key{ExpiresAt: r.clock.Now()})
	for range 2 * failures {
		r.guard.OnGap()
		r.want(r.call(good, here), 200) // a good key that has to be looked up is no failure
	}
	for i := range failures {
		r.want(r.call(expired, here), 401) // no guess
		r.want(r.call([]string{"sk_nonsense", secret.New(apikey.Prefix), ""}[i%3], here), 401)
	}
	for _, s := range []string{"sk_nonsense", secret.New(apikey.Prefix), "", expired} {
		r.want(r.call(s, here), 429)
	}
	r.guard.OnGap()
	r.want(r.call(good, here), 200)
	r.want(r.call(fresh, here), 200) // nobody guesses it
	r.want(r.call(secret.New(apikey.Prefix), "192.0.2.2"), 401)
	r.source.err = apierr.ErrUnavailable
	for range 2 * failures {
		r.want(r.call(secret.New(apikey.Prefix), "192.0.2.3"), 503) // an outage is nobody's failure
	}
}

// TestEndedKeysAreRemembered: a client that goes on sending a key that was revoked costs no look-ups, until the key is
// changed.
func TestEndedKeysAreRemembered(t *testing.T) {
	r := newRig(t)
	s := r.key(apikey.Key{Ended: true})
	for range failures {
		r.want(r.call(s, here), 401)
	}
	if n := r.source.lookUps.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
	k := r.source.keys[secret.Hash(s)]
	k.Ended = false
	r.source.keys[secret.Hash(s)] = k
	r.guard.OnEvent(changed("apikey.updated", k.ID))
	r.want(r.call(s, here), 200)
}
