package license_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// guesser is somebody who signs in from an address.
type guesser struct {
	w    *world
	from string
}

func (g guesser) signIn(email, customer, password string) answer {
	g.w.t.Helper()
	body, _ := json.Marshal(map[string]string{
		"product": "studio", "email": email, "customer_id": customer, "password": password,
	})
	req := httptest.NewRequest(http.MethodPost, "/api/v1/license/users/sign-in", strings.NewReader(string(body)))
	req.Header.Set("X-API-Key", g.w.auth.apiKey)
	req.RemoteAddr = g.from + ":1"
	rec := httptest.NewRecorder()
	g.w.public.ServeHTTP(rec, req)
	got := answer{status: rec.Code, header: rec.Header(), raw: rec.Body.String()}
	if err := json.Unmarshal(rec.Body.Bytes(), &got.body); err != nil {
		g.w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return got
}

// waits expects a refusal before the password is looked at.
func (w *world) waits(got answer, seconds string) {
	w.t.Helper()
	w.want(got, http.StatusTooManyRequests, errcode.RateLimitExceeded)
	if after := got.header.Get("Retry-After"); after != seconds {
		w.t.Errorf("Retry-After: %s, want %s", after, seconds)
	}
	if details := got.body["details"].(map[string]any); fmt.Sprint(details["retry_after_seconds"]) != seconds ||
		!strings.Contains(got.raw, "sign-in is locked for "+seconds+" s") {
		w.t.Errorf("the lock is not named: %s", got.raw)
	}
}

func TestGuessesAtAnAccountWaitLongerAndLonger(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.ada("")
		here := guesser{w, "203.0.113.1"}
		w.want(here.signIn("ada@example.com", "", thePassword), http.StatusOK, "") // from here the user is known
		said := map[string]string{}
		for _, wait := range []int{0, 0, 0, 0, 0, 15, 30, 60} {
			for _, email := range []string{"ada@example.com", "nobody@example.com"} {
				if wait > 0 {
					w.waits(here.signIn(email, "", thePassword), fmt.Sprint(wait))
				}
			}
			w.clock.Advance(time.Duration(wait) * time.Second)
			for _, email := range []string{"ada@example.com", "nobody@example.com"} {
				got := here.signIn(email, "", "wrong guess")
				w.want(got, http.StatusUnauthorized, errcode.InvalidCredentials)
				said[email] = got.body["error"].(string)
			}
		}
		if said["ada@example.com"] != said["nobody@example.com"] {
			w.t.Errorf("the answers tell who is known: %q", said)
		}
		w.want(guesser{w, "203.0.113.2"}.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		w.waits(here.signIn("ada@example.com", "", thePassword), "120")
		w.clock.Advance(2 * time.Minute)
		w.want(here.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
	})
}

func TestStrangersKeepNoUserOut(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.ada("")
		home := guesser{w, "203.0.113.1"}
		w.want(home.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		for i := range 5 * 5 { // of five guesses each the first does not count for the others
			stranger := guesser{w, fmt.Sprintf("198.51.100.%d", i%5)}
			w.want(stranger.signIn("ada@example.com", "", "wrong guess"), http.StatusUnauthorized, "")
		}
		w.want(home.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		mistyped := guesser{w, "203.0.113.2"}
		w.want(mistyped.signIn("ada@example.com", "", "a slip"), http.StatusUnauthorized, "")
		w.waits(mistyped.signIn("ada@example.com", "", thePassword), "1")
		w.want(guesser{w, "203.0.113.3"}.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		w.clock.Advance(time.Second)
		w.want(mistyped.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
	})
}

func TestGuessesAtOneCustomerDelayNoOther(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.ada("")
		made := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"other","email":"ada@example.com"}`)
		w.want(made, http.StatusCreated, "")
		here := guesser{w, "203.0.113.1"}
		for range 5 {
			w.want(here.signIn("ada@example.com", "acme", "wrong guess"), http.StatusUnauthorized, "")
			w.want(here.signIn("ada@example.com", "", "wrong guess"), http.StatusUnauthorized, "")
		}
		w.waits(here.signIn("ada@example.com", "acme", thePassword), "15")
		password := made.body["initial_password"].(string)
		w.want(here.signIn("ada@example.com", "other", password), http.StatusOK, "")
	})
}

// TestInventedAccountsAreBounded: an address that names somebody else each time is told to wait as well, and then
// leaves nothing behind in the database. Users who are known there do not suffer.
func TestInventedAccountsAreBounded(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.ada("")
		here := guesser{w, "203.0.113.1"}
		w.want(here.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		invented := 0
		flood := func(calls, status int) (rows int64) {
			for range calls {
				invented++
				w.want(here.signIn(fmt.Sprintf("%d@example.com", invented), "", "wrong guess"), status, "")
			}
			if err := w.db.Read(t.Context()).Table("rate_limits").Count(&rows).Error; err != nil {
				t.Fatal(err)
			}
			return rows
		}
		before := flood(30, http.StatusUnauthorized)
		if after := flood(60, http.StatusTooManyRequests); after != before {
			t.Errorf("refused guesses added %d rows", after-before)
		}
		w.want(here.signIn("ada@example.com", "", thePassword), http.StatusOK, "")
		w.want(guesser{w, "203.0.113.2"}.signIn("a@example.com", "", "wrong guess"), http.StatusUnauthorized, "")
	})
}
