package guard

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

var errWrong = apierr.New(apierr.Unauthenticated, errcode.InvalidAPIKey, "wrong")

const here = "192.0.2.1:1"

// rig is a route that opens to the credentials that right says yes to, in the header X-Key.
type rig struct {
	*testing.T
	clock    *clock.Fake
	attempts *Attempts
	engine   *gin.Engine
	right    func(credential string) error
	looked   atomic.Int32
	identify func(credential string) Credential
}

func newRig(t *testing.T, limit int) *rig {
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	r := &rig{T: t, clock: now, attempts: New(now, limit), engine: httpx.NewEngine(httpx.Options{Clock: now})}
	r.identify = func(credential string) Credential { return Credential{sum: secret.Hash(credential)} }
	r.right = func(credential string) error {
		if credential != "right" {
			return errWrong
		}
		return nil
	}
	r.engine.GET("/", httpx.Wrap(func(c *gin.Context) error {
		credential := c.GetHeader("X-Key")
		if credential == "" {
			return r.attempts.Refuse(c, errWrong)
		}
		return r.attempts.Try(c, r.identify(credential), func() error {
			r.looked.Add(1)
			return r.right(credential)
		})
	}))
	return r
}

func (r *rig) request(from, credential string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.RemoteAddr = from
	if credential != "" {
		req.Header.Set("X-Key", credential)
	}
	return req
}

func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	r.engine.ServeHTTP(rec, req)
	return rec
}

func (r *rig) call(from, credential string) *httptest.ResponseRecorder {
	return r.do(r.request(from, credential))
}

func (r *rig) want(rec *httptest.ResponseRecorder, status int) {
	r.Helper()
	if rec.Code != status {
		r.Errorf("got %d %s, want %d", rec.Code, rec.Body, status)
	}
}

func TestTheRightGuessIsNotAnsweredEither(t *testing.T) {
	r := newRig(t, 3)
	for i := range 3 {
		r.want(r.call(here, fmt.Sprint("wrong ", i)), 401)
		r.clock.Advance(time.Second)
	}
	rec := r.call(here, "right")
	r.want(rec, 429)
	if rec.Header().Get("Retry-After") != "57" || r.looked.Load() != 3 {
		t.Errorf("Retry-After %s, %d credentials were looked at, want 57 and 3",
			rec.Header().Get("Retry-After"), r.looked.Load())
	}
	r.want(r.call("192.0.2.2:1", "right"), 200)
	r.attempts.good.InvalidateAll()
	r.clock.Advance(57*time.Second - time.Microsecond)
	r.want(r.call(here, "right"), 429)
	r.clock.Advance(time.Microsecond)
	r.want(r.call(here, "wrong"), 401)
	r.want(r.call(here, "right"), 429) // three within the last minute again
}

func TestNoCredentialIsAFailure(t *testing.T) {
	r := newRig(t, 2)
	for _, status := range []int{401, 401, 429} {
		r.want(r.call(here, ""), status)
	}
	r.want(r.call(here, "right"), 429)
}

func TestWhatWasGoodLatelyIsNotRefusedForOthers(t *testing.T) {
	r := newRig(t, 1)
	r.want(r.call(here, "right"), 200)
	r.want(r.call(here, "wrong"), 401)
	r.want(r.call(here, "right"), 200)
	r.want(r.call(here, "another"), 429)
	r.clock.Advance(goodFor)
	r.want(r.call(here, "wrong"), 401)
	r.want(r.call(here, "right"), 429) // not lately enough

	r.clock.Advance(time.Minute)
	r.want(r.call(here, "right"), 200)
	r.right = func(string) error { return errWrong } // revoked
	r.want(r.call(here, "right"), 401)
	r.want(r.call(here, "right"), 429)
}

func TestOutagesAreNoFailures(t *testing.T) {
	r := newRig(t, 1)
	for _, err := range []error{apierr.ErrUnavailable, context.DeadlineExceeded, fmt.Errorf("broken")} {
		r.right = func(string) error { return err }
		if got := r.call(here, "unknown").Code; got < 500 {
			t.Errorf("%v: %d", err, got)
		}
	}
	r.right = func(string) error { return nil }
	r.want(r.call(here, "another"), 200)
}

// together has each look at a credential take a millisecond, and returns how many there were at the same time at most.
func (r *rig) together(verdict func(credential string) error) *atomic.Int32 {
	var now, most atomic.Int32
	r.right = func(credential string) error {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return verdict(credential)
	}
	return &most
}

// TestColdStart: good credentials of which the process knows nothing yet are never refused, however many come at once.
// They wait for each other: as many are looked at as may fail, and a few at most.
func TestColdStart(t *testing.T) {
	for limit, want := range map[int]int32{1: 1, 3: 3, 100: atOnce} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, limit)
			most := r.together(func(string) error { return nil })
			var all sync.WaitGroup
			for i := range 30 {
				all.Go(func() { r.want(r.call(here, fmt.Sprint("good ", i)), 200) })
			}
			all.Wait()
			if most.Load() != want {
				t.Errorf("limit %d: %d credentials were looked at together, want %d", limit, most.Load(), want)
			}
		})
	}
}

// TestGuessesAtOnce: a guesser gains nothing by asking a hundred times at once.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10)
		r.right = func(string) error { time.Sleep(time.Millisecond); return errWrong }
		var all sync.WaitGroup
		var refused, limited atomic.Int32
		for i := range 100 {
			all.Go(func() {
				switch r.call(here, fmt.Sprint("guess ", i)).Code {
				case 401:
					refused.Add(1)
				case 429:
					limited.Add(1)
				}
			})
		}
		all.Wait()
		if refused.Load() != 10 || limited.Load() != 90 || r.looked.Load() != 10 {
			t.Errorf("%d refused, %d limited, %d looked at; want 10, 90, 10",
				refused.Load(), limited.Load(), r.looked.Load())
		}
	})
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		release := make(chan struct{})
		r.right = func(string) error { <-release; return nil }
		go r.call(here, "slow")
		synctest.Wait()
		left, cancel := context.WithCancel(t.Context())
		gone := make(chan int)
		go func() { gone <- r.do(r.request(here, "patient").WithContext(left)).Code }()
		synctest.Wait()
		cancel() // the client leaves
		if status := <-gone; status != 503 {
			t.Errorf("a call whose client left ended with %d", status)
		}
		go func() { gone <- r.call(here, "patient").Code }()
		if status := <-gone; status != 503 { // at the deadline of requests
			t.Errorf("a call that waited for its whole time ended with %d", status)
		}
		close(release)
		synctest.Wait()
		r.want(r.call(here, "patient"), 200)
	})
}

// TestNoHeaderRaisesTheLimit: of every peer, whatever a request says of itself, as many failures are admitted as
// without.
func TestNoHeaderRaisesTheLimit(t *testing.T) {
	headers := map[string][]string{
		"none": nil, "X-Forwarded-For": {"203.0.113.5"}, "X-Forwarded-For twice": {"203.0.113.5", "203.0.113.6"},
		"X-Forwarded-For of garbage": {"\x00,;"}, "X-Forwarded-For of loopback": {"127.0.0.1"},
		"Forwarded": {"for=203.0.113.5"}, "X-Real-IP": {"203.0.113.5"}, "X-Client-IP": {"203.0.113.5"},
		"True-Client-IP":   {"203.0.113.5"},
		"CF-Connecting-IP": {"203.0.113.5"}, "X-Forwarded": {"203.0.113.5"}, "Via": {"1.1 proxy"},
	}
	for _, peer := range []string{here, "127.0.0.1:1", "10.0.0.1:1", "[::1]:1", "[fe80::1%eth0]:1"} {
		for name, values := range headers {
			r := newRig(t, 5)
			var got []int
			for i := range 7 {
				req := r.request(peer, fmt.Sprint("guess ", i))
				for _, v := range values {
					header, _, _ := strings.Cut(name, " ")
					req.Header.Add(header, v)
				}
				got = append(got, r.do(req).Code)
			}
			if want := []int{401, 401, 401, 401, 401, 429, 429}; !slices.Equal(got, want) {
				t.Errorf("%s from %s: %v, want %v", name, peer, got, want)
			}
		}
	}
}

func TestIPv6CountsByNetwork(t *testing.T) {
	r := newRig(t, 1)
	r.want(r.call("[2001:db8:0:1::1]:1", "wrong"), 401)
	r.want(r.call("[2001:db8:0:1:ffff::2]:1", "wrong"), 429)
	r.want(r.call("[2001:db8:0:2::1]:1", "wrong"), 401)
}

func TestTokens(t *testing.T) {
	r := newRig(t, 2)
	refusals := map[string]error{"ended": token.Refused("expired"), "ended too": token.Refused("revoked")}
	r.engine.GET("/token", httpx.Wrap(func(c *gin.Context) error {
		raw := c.GetHeader("X-Key")
		if err, ours := refusals[raw]; ours {
			return r.attempts.RefuseToken(c, raw, err)
		}
		return r.attempts.RefuseToken(c, raw, token.Refused("signature"))
	}))
	ask := func(raw string) int {
		req := r.request(here, raw)
		req.URL.Path = "/token"
		return r.do(req).Code
	}
	var got []int
	for _, raw := range []string{"ended", "ended", "ended", "ended too", "ended too", "made up", "made up too",
		"made up", "ended too"} {
		got = append(got, ask(raw))
	}
	if want := []int{401, 401, 429, 401, 401, 401, 401, 429, 429}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithoutLimit(t *testing.T) {
	r := newRig(t, 1)
	r.attempts = nil
	for range 5 {
		r.want(r.call(here, "wrong"), 401)
		r.want(r.call(here, ""), 401)
	}
	r.attempts.Trust(Made(secret.Hash("x")))
	r.want(r.call(here, "right"), 200)
}

// TestAddressesAreBounded: strangers cannot make the process remember more and more.
func TestAddressesAreBounded(t *testing.T) {
	r := newRig(t, 60)
	for i := range 2 * addressesKept {
		if err := r.attempts.refuse(fmt.Sprint(i), errWrong); err != error(errWrong) {
			t.Fatal(err)
		}
	}
	if n := len(r.attempts.addresses); n > addressesKept {
		t.Errorf("%d addresses are remembered", n)
	}
	r.clock.Advance(window)
	if err := r.attempts.refuse("one more", errWrong); err != error(errWrong) || len(r.attempts.addresses) != 1 {
		t.Errorf("%d addresses are remembered after a minute, %v", len(r.attempts.addresses), err)
	}
	for range 1000 {
		_ = r.attempts.refuse("loud", errWrong)
	}
	if n := len(r.attempts.addresses["loud"].failures); n > 60 {
		t.Errorf("%d failures of one address are remembered", n)
	}
}

// TestAddressesAreForgottenAfterTheClockWasSetBack as they are otherwise.
func TestAddressesAreForgottenAfterTheClockWasSetBack(t *testing.T) {
	r := newRig(t, 60)
	r.want(r.call(here, "wrong"), 401)
	r.clock.Advance(-24 * time.Hour)
	if _ = r.attempts.refuse("another", errWrong); len(r.attempts.addresses) != 1 {
		t.Errorf("%d addresses are remembered", len(r.attempts.addresses))
	}
}

// TestWhatNobodyCanGuess: beyond the limit a credential that package secret made is looked at, one at a time for each
// address, and waits rather than being refused. The wrong ones are no admitted failures.
func TestWhatNobodyCanGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		good := secret.New("sk_")
		most := r.together(func(credential string) error {
			if credential != good {
				return errWrong
			}
			return nil
		})
		r.identify = func(credential string) Credential {
			return Credential{sum: secret.Hash(credential), made: secret.WellFormed("sk_", credential)}
		}
		for range 2 {
			r.want(r.call(here, "wrong"), 401)
		}
		most.Store(0)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { r.want(r.call(here, secret.New("sk_")), 429) })
			all.Go(func() { r.want(r.call(here, "wrong"), 429) })
		}
		all.Go(func() { r.want(r.call(here, good), 200) })
		all.Wait()
		if most.Load() != 1 || r.looked.Load() != 2+51 {
			t.Errorf("%d were looked at together, %d in all; want 1 and 53", most.Load(), r.looked.Load())
		}
	})
}

// TestWhatHasEndedIsNoGuess: it counts by itself.
func TestWhatHasEndedIsNoGuess(t *testing.T) {
	r := newRig(t, 2)
	r.right = func(credential string) error {
		if strings.HasPrefix(credential, "old") {
			return errWrong.WithCause(secret.ErrEnded)
		}
		return errWrong
	}
	var got []int
	for _, credential := range []string{"old 1", "old 1", "old 1", "old 2", "old 2", "old 2", "wrong", "wrong",
		"wrong"} {
		got = append(got, r.call(here, credential).Code)
	}
	if want := []int{401, 401, 429, 401, 401, 429, 401, 401, 429}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestAdministratorsAreExemptWhereTheyAre: the right guess of a credential that is in use elsewhere is not answered.
func TestAdministratorsAreExemptWhereTheyAre(t *testing.T) {
	r := newRig(t, 1)
	r.engine.GET("/admin", httpx.Wrap(func(c *gin.Context) error {
		credential := c.GetHeader("X-Key")
		return r.attempts.Try(c, Of(c, "sk_", credential), func() error { return r.right(credential) })
	}))
	ask := func(from, credential string) *httptest.ResponseRecorder {
		req := r.request(from, credential)
		req.URL.Path = "/admin"
		return r.do(req)
	}
	const elsewhere = "192.0.2.2:1"
	r.want(ask(elsewhere, "right"), 200)
	r.want(ask(here, "wrong"), 401)
	r.want(ask(here, "right"), 429)
	r.want(ask(elsewhere, "wrong"), 401)
	r.want(ask(elsewhere, "right"), 200)
}
