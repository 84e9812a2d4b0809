// Package guardtest checks that a route keeps the promises of package guard, through the service's own router.
package guardtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Route is a route that wants a credential.
type Route struct {
	Handler http.Handler
	// Request makes a request that carries the credentials, one after the other.
	Request func(credentials ...string) *http.Request
	// Good makes a credential that the service has never seen used.
	Good func(t *testing.T) string
	// Wrong are credentials that somebody made up.
	Wrong []string
	// Limit is how many failures an address has a minute.
	Limit int
	// Unguessable says that nobody guesses these credentials, because they are signed or random: good ones are never
	// refused for others' failures, also not the first time, as after a restart.
	Unguessable bool
	// Ended makes a credential that was good once. Nil where there is none: an administrator's secret that was replaced
	// is forgotten.
	Ended func(t *testing.T) string
	// InBody says that the credential is a member of the body, which cannot carry it twice.
	InBody bool
}

// headers are what a request may say of where it comes from.
var headers = map[string][]string{
	"none": nil, "X-Forwarded-For": {"203.0.113.5"}, "X-Forwarded-For, twice": {"203.0.113.5", "203.0.113.6"},
	"X-Forwarded-For, garbage": {",;,"}, "Forwarded": {"for=203.0.113.5"}, "X-Real-IP": {"203.0.113.5"},
	"X-Client-IP":      {"203.0.113.5"},
	"CF-Connecting-IP": {"203.0.113.5"}, "True-Client-IP": {"203.0.113.5"},
}

// Check runs the checks as subtests. Each comes from addresses of its own, private ones, where a proxy that nobody
// named may be.
func Check(t *testing.T, r Route) {
	t.Run("after too many guesses the right one is not answered", func(t *testing.T) { r.guess(t, "10.4.0.1:1") })
	t.Run("what was good lately passes while others fail", func(t *testing.T) { r.goodLately(t, "10.4.0.2:1") })
	if r.Ended != nil {
		t.Run("what has ended is no guess", func(t *testing.T) { r.ended(t, "10.4.0.3:1") })
	}
	i := 0
	for name, values := range headers {
		i++
		t.Run("guesses are limited whatever "+name+" says", func(t *testing.T) {
			r.forwarded(t, fmt.Sprintf("10.3.0.%d:1", i), name, values)
		})
	}
	if !r.InBody {
		t.Run("not once", func(t *testing.T) { r.notOnce(t, "10.5.0.1:1") })
	}
}

func (r Route) guess(t *testing.T, peer string) {
	good := r.Good(t)
	r.fail(t, peer)
	want := http.StatusTooManyRequests
	if got := r.send(peer, r.Request(good)); r.Unguessable && admitted(got) != nil ||
		!r.Unguessable && got.Code != want {
		t.Errorf("the right one is answered %d", got.Code)
	}
	got := r.send(peer, r.Request(r.Wrong[0]))
	if got.Code != want || got.Header().Get("Retry-After") == "" {
		t.Errorf("one more guess is answered %d %v, want %d with Retry-After", got.Code, got.Header(), want)
	}
	if err := admitted(r.send("10.4.1.1:1", r.Request(good))); err != nil {
		t.Errorf("the right one from another address: %v", err)
	}
}

func (r Route) goodLately(t *testing.T, peer string) {
	good := r.Good(t)
	if err := admitted(r.send(peer, r.Request(good))); err != nil {
		t.Fatal(err)
	}
	r.fail(t, peer)
	if err := admitted(r.send(peer, r.Request(good))); err != nil {
		t.Error(err)
	}
}

// ended: clients that still send an old credential, each as often as it may, use up nothing of what others from their
// address have.
func (r Route) ended(t *testing.T, peer string) {
	for range 2 {
		old := r.Ended(t)
		for i := range r.Limit {
			if got := r.send(peer, r.Request(old)); got.Code != http.StatusUnauthorized {
				t.Fatalf("an ended credential is answered %d the %d. time", got.Code, i+1)
			}
		}
		if got := r.send(peer, r.Request(old)); got.Code != http.StatusTooManyRequests {
			t.Errorf("an ended credential is answered %d without end", got.Code)
		}
	}
	if err := admitted(r.send(peer, r.Request(r.Good(t)))); err != nil {
		t.Errorf("a good one beside them: %v", err)
	}
	r.fail(t, peer)
}

func (r Route) forwarded(t *testing.T, peer, name string, values []string) {
	header, _, _ := strings.Cut(name, ",")
	for i := range r.Limit + 1 {
		req := r.Request(r.Wrong[i%len(r.Wrong)])
		for _, v := range values {
			req.Header.Add(header, v)
		}
		want := http.StatusUnauthorized
		if i == r.Limit {
			want = http.StatusTooManyRequests
		}
		if got := r.send(peer, req); got.Code != want {
			t.Fatalf("failure %d is answered %d %s, want %d", i+1, got.Code, got.Body, want)
		}
	}
}

func (r Route) notOnce(t *testing.T, peer string) {
	good := r.Good(t)
	for _, credentials := range [][]string{nil, {good, good}, {good, r.Wrong[0]}, {r.Wrong[0], good}, {good, ""}} {
		if got := r.send(peer, r.Request(credentials...)); got.Code != http.StatusUnauthorized {
			t.Errorf("%d credentials are answered %d", len(credentials), got.Code)
		}
	}
	for range r.Limit - 5 {
		r.send(peer, r.Request())
	}
	if got := r.send(peer, r.Request()); got.Code != http.StatusTooManyRequests {
		t.Errorf("after %d requests without one credential: %d", r.Limit, got.Code)
	}
}

// fail uses up the failures of an address.
func (r Route) fail(t *testing.T, peer string) {
	t.Helper()
	for i := range r.Limit {
		if got := r.send(peer, r.Request(r.Wrong[i%len(r.Wrong)])); got.Code != http.StatusUnauthorized {
			t.Fatalf("failure %d is answered %d %s", i+1, got.Code, got.Body)
		}
	}
}

func (r Route) send(peer string, req *http.Request) *httptest.ResponseRecorder {
	req.RemoteAddr = peer
	rec := httptest.NewRecorder()
	r.Handler.ServeHTTP(rec, req)
	return rec
}

func admitted(got *httptest.ResponseRecorder) error {
	if slices.Contains([]int{http.StatusUnauthorized, http.StatusTooManyRequests}, got.Code) || got.Code >= 500 {
		return fmt.Errorf("answered %d %s", got.Code, got.Body)
	}
	return nil
}
