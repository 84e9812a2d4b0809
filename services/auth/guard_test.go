package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/guardtest"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/auth"
)

// How many failures an address has a minute, of clients and of the administrator.
const (
	clientFailures = 60
	adminFailures  = 10
)

func limitAddresses(c *auth.Config) {
	on := true
	c.AddressLimits = &on
}

// carrying makes requests with a credential in a header.
func carrying(method, path, header, scheme, body string) func(credentials ...string) *http.Request {
	return func(credentials ...string) *http.Request {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		for _, credential := range credentials {
			req.Header.Add(header, scheme+credential)
		}
		return req
	}
}

func TestGuessesOfTheAdminSecret(t *testing.T) {
	eachEngine(t, func(w *harness) {
		guardtest.Check(w.T, guardtest.Route{
			Handler: w.handler, Request: carrying("GET", keysPath, "X-Admin-Secret", "", ""), Limit: adminFailures,
			Good:  func(*testing.T) string { return adminSecret },
			Wrong: []string{"wrong", adminSecret + "x", strings.ToLower(adminSecret)},
		})
	}, limitAddresses)
	t.Run("made", func(t *testing.T) {
		made := secret.New("as_")
		w := onSQLite(t, limitAddresses, func(c *auth.Config) { c.AdminSecret = secret.Secret(made) })
		guardtest.Check(t, guardtest.Route{
			Handler: w.handler, Request: carrying("GET", keysPath, "X-Admin-Secret", "", ""), Limit: adminFailures,
			Unguessable: true,
			Good:        func(*testing.T) string { return made },
			Wrong:       []string{"wrong", made + "x", secret.New("as_")},
		})
	})
}

// While the admin secret is being changed, both open the same, on replicas that know of the change and, with the old
// one, on others.
func TestPreviousAdminSecret(t *testing.T) {
	const next = "hG5sD7jH2fY9bC4nW0Lp6Rx1Km8vT3qZ"
	w := onSQLite(t, limitAddresses, func(c *auth.Config) { c.AdminSecret, c.AdminSecretPrevious = next, adminSecret })
	for _, s := range []string{next, adminSecret} {
		w.call("GET", keysPath, headers{"X-Admin-Secret": s}, "").is(200, "")
	}
	w.call("GET", keysPath, headers{"X-Admin-Secret": next + adminSecret}, "").is(401, "INVALID_ADMIN_SECRET")
	w = onSQLite(t, limitAddresses, func(c *auth.Config) { c.AdminSecret = next })
	for _, s := range []string{"", adminSecret} {
		w.call("GET", keysPath, headers{"X-Admin-Secret": s}, "").is(401, "INVALID_ADMIN_SECRET")
	}
	same := auth.Config{AdminSecret: next, AdminSecretPrevious: next}
	if err := same.Validate(); err == nil || !strings.Contains(err.Error(),
		"LATCHKEY_ADMIN_SECRET_PREVIOUS (admin_secret_previous): is the same") {
		t.Errorf("twice the same secret: %v", err)
	}
}

func TestGuessesOfAPIKeys(t *testing.T) {
	eachEngine(t, func(w *harness) {
		for way := range 3 {
			w.Run([]string{"revoked", "rotated", "expired"}[way], func(t *testing.T) {
				w.in(t).call("POST", "/api/v1/auth/token", headers{"X-API-Key": w.in(t).endedKey(way)},
					tokenBody(licenseID, device)).is(401, errcode.InvalidAPIKey)
			})
		}
		ways := 0
		guardtest.Check(w.T, guardtest.Route{
			Handler: w.handler, Request: carrying("POST", "/api/v1/auth/token", "X-API-Key", "",
				tokenBody(licenseID, device)), Limit: clientFailures, Unguessable: true,
			Good:  func(t *testing.T) string { return w.in(t).client()["X-API-Key"] },
			Ended: func(t *testing.T) string { ways++; return w.in(t).endedKey(ways) },
			Wrong: []string{"sk_nonsense", secret.New("sk_"), secret.New("ak_")},
		})
	}, limitAddresses)
}

// endedKey is an API key that was good once, and ended in one of three ways.
func (w *harness) endedKey(way int) string {
	w.Helper()
	k := w.createKey(`{"client_name": "old client"}`)
	switch way % 3 {
	case 0:
		w.call("DELETE", keysPath+"/"+k.ID, asAdmin, "").is(200, "")
	case 1:
		w.call("POST", keysPath+"/"+k.ID+"/rotate", asAdmin, "").is(200, "")
	default:
		end := w.clock.Now().Add(time.Second)
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, fmt.Sprintf(`{"expires_at": %q}`, end.Format(time.RFC3339))).
			is(200, "")
		w.clock.Advance(time.Second)
	}
	return k.APIKey
}

func TestRefusedTokensAreLimited(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		other := w.in(w.T)
		guardtest.Check(w.T, guardtest.Route{
			Handler: w.handler, Request: carrying("POST", "/api/v1/auth/verify", "Authorization", "Bearer ", ""),
			Limit: clientFailures, Unguessable: true,
			Good:  func(t *testing.T) string { return other.in(t).issue(client).Access },
			Wrong: []string{"x.y.z", "nonsense", forged(w.issue(client).Access)},
		})
	}, limitAddresses)
}

// forged is a token with another signature.
func forged(raw string) string {
	body, signature, _ := strings.Cut(raw[strings.IndexByte(raw, '.')+1:], ".")
	return raw[:strings.IndexByte(raw, '.')+1] + body + "." + strings.Repeat("A", len(signature))
}

// TestBackEndsVerifyAllTheirUsers from one address: good tokens are never limited, and of tokens that ended each counts
// by itself.
func TestBackEndsVerifyAllTheirUsers(t *testing.T) {
	w := onSQLite(t, limitAddresses)
	client := w.client()
	good := w.issue(client)
	for range 3 * clientFailures {
		w.verify(good.Access).is(200, "")
	}
	var ended []string
	for range clientFailures + 5 {
		ended = append(ended, w.issue(client).Access)
	}
	w.clock.Advance(time.Hour)
	for _, token := range ended {
		w.verify(token).is(401, errcode.InvalidToken)
	}
	for range clientFailures - 1 {
		w.verify(ended[0]).is(401, errcode.InvalidToken)
	}
	w.verify(ended[0]).is(429, errcode.RateLimitExceeded)
	w.verify(w.issue(client).Access).is(200, "")
}

func TestGuessesOfRefreshTokens(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client, other := w.client(), w.in(w.T)
		guardtest.Check(w.T, guardtest.Route{
			Handler: w.handler, Limit: clientFailures, Unguessable: true, InBody: true,
			Request: func(credentials ...string) *http.Request {
				return httptest.NewRequest("POST", "/api/v1/auth/refresh",
					strings.NewReader(fmt.Sprintf(`{"refresh_token": %q}`, credentials[0])))
			},
			Good: func(t *testing.T) string { return other.in(t).issue(client).Refresh },
			Ended: func(t *testing.T) string {
				old := other.in(t).issue(client)
				var next pair
				other.in(t).refresh(old.Refresh).is(200, "").into(&next)
				other.in(t).refresh(next.Refresh).is(200, "") // now old is used up
				return old.Refresh
			},
			Wrong: []string{"x", secret.New("rt_")},
		})
	}, limitAddresses)
}

// TestManyCallsAfterAnotherKeyWasRevoked: of 30 simultaneous calls with a good key none is refused.
func TestManyCallsAfterAnotherKeyWasRevoked(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		other := w.createKey(`{"client_name": "other"}`)
		w.call("DELETE", keysPath+"/"+other.ID, asAdmin, "").is(200, "")
		statuses := make(chan int)
		for range 30 {
			go func() {
				for {
					req := httptest.NewRequest("POST", "/api/v1/auth/token",
						strings.NewReader(tokenBody(licenseID, device)))
					req.Header.Set("X-API-Key", client["X-API-Key"])
					rec := httptest.NewRecorder()
					w.handler.ServeHTTP(rec, req)
					if rec.Code != http.StatusServiceUnavailable { // a busy machine sheds load, whoever asks
						statuses <- rec.Code
						return
					}
				}
			}()
		}
		got := map[int]int{}
		for range 30 {
			got[<-statuses]++
		}
		if fmt.Sprint(got) != "map[200:30]" {
			w.Errorf("statuses %v, want 200 of each", got)
		}
	}, limitAddresses)
}

// TestOneSeatCannotFlood: a family is refreshed so many times a minute.
func TestOneSeatCannotFlood(t *testing.T) {
	limit := 3
	eachEngine(t, func(w *harness) {
		p := w.issue(w.client())
		for range limit {
			w.refresh(p.Refresh).is(200, "").into(&p)
		}
		limited := w.refresh(p.Refresh).is(429, errcode.RateLimitExceeded)
		if limited.header.Get("Retry-After") != "60" {
			w.Errorf("%v", limited.header)
		}
		w.clock.Advance(time.Minute)
		w.refresh(p.Refresh).is(200, "")
	}, func(c *auth.Config) { c.TokenRateLimit = &limit })
}

// TestRevokedTokensTakeNothingFromTheirDevice: its new family may do all that it may.
func TestRevokedTokensTakeNothingFromTheirDevice(t *testing.T) {
	limit := 3
	eachEngine(t, func(w *harness) {
		client := w.client()
		stolen := w.issue(client)
		var used pair
		w.refresh(stolen.Refresh).is(200, "").into(&used)
		w.refresh(used.Refresh).is(200, "").into(&used)
		w.refresh(stolen.Refresh).is(401, errcode.InvalidToken) // reuse: revokes the family
		p := w.issue(client)
		for range 2 * limit {
			w.refresh(stolen.Refresh).is(401, errcode.InvalidToken)
			w.refresh(used.Refresh).is(401, errcode.InvalidToken)
		}
		for range limit {
			w.refresh(p.Refresh).is(200, "").into(&p)
		}
		w.refresh(p.Refresh).is(429, errcode.RateLimitExceeded)
	}, func(c *auth.Config) { c.TokenRateLimit = &limit })
}

// TestRateLimitsArePruned in the background, however many there are.
func TestRateLimitsArePruned(t *testing.T) {
	testkit.EachEngine(t, append(slices.Clone(auth.Migrations), inproc.Migrations), func(t *testing.T, d *db.DB) {
		guardtest.RateLimitsArePruned(t, d, func() {
			newHarness(t, d, func(c *auth.Config) { c.RateLimitShared = true })
		})
	})
}

// TestOneSeatCannotFillTheTables: a device that obtains tokens again and again replaces its oldest ones, once their
// access tokens have ended; until then peer services may rely on what they know of them.
func TestOneSeatCannotFillTheTables(t *testing.T) {
	eachEngine(t, func(w *harness) {
		const kept = 100
		client := w.client()
		var other pair
		w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, "another device")).is(200, "").into(&other)
		oldest, inUse := w.issue(client), w.issue(client)
		for range kept {
			w.issue(client)
		}
		w.families(kept + 3)
		w.verify(oldest.Access).is(200, "")
		w.clock.Advance(30 * time.Minute)
		w.refresh(inUse.Refresh).is(200, "").into(&inUse)
		w.clock.Advance(30 * time.Minute)
		newest := w.issue(client)
		w.families(kept + 2) // the newest, the one in use, and that of the other device
		w.refresh(oldest.Refresh).is(401, errcode.InvalidToken)
		for _, p := range []pair{inUse, newest} {
			w.verify(p.Access).is(200, "")
			w.refresh(p.Refresh).is(200, "")
		}
		w.refresh(other.Refresh).is(200, "")
	})
}

// TestOneSeatCannotFillTheTablesAtOnce: within the life of its tokens a device has so many of them, and no more.
func TestOneSeatCannotFillTheTablesAtOnce(t *testing.T) {
	eachEngine(t, func(w *harness) {
		const live = 1000
		client := w.client()
		first := w.issue(client)
		rows := make([]map[string]any, live-1)
		for i := range rows {
			id, now := fmt.Sprintf("0199c1f0-6a52-7c3e-9d58-%012d", i), w.clock.Now()
			rows[i] = map[string]any{"id": id, "license_id": licenseID, "hardware_id": device, "license_version": 0,
				"created_at": now, "expires_at": now.Add(30 * 24 * time.Hour), "current_sha256": make([]byte, 32),
				"in_use": false, "rotations": 0}
		}
		w.must(w.db.Tx(w.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Table("token_families").CreateInBatches(rows, 100).Error
		}))
		refused := w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).
			is(429, errcode.RateLimitExceeded)
		if refused.header.Get("Retry-After") == "" {
			w.Error("429 without Retry-After")
		}
		w.families(live)
		w.verify(first.Access).is(200, "")
		w.clock.Advance(time.Hour)
		w.issue(client)
		w.families(live + 1 - 20) // each call forgets some
	})
}

// families wants so many rows of token families.
func (w *harness) families(want int64) {
	w.Helper()
	var rows int64
	w.must(w.db.Read(w.Context()).Table("token_families").Count(&rows).Error)
	if rows != want {
		w.Errorf("there are %d token families, want %d", rows, want)
	}
}

// TestASecretThatNoHeaderBrings is refused when the service starts, instead of each call.
func TestASecretThatNoHeaderBrings(t *testing.T) {
	for text, good := range map[string]bool{
		"fine": true, "sch\u00fcssel": true, "schu\u0308ssel": false, "a\tb": false, "a\u200b": false, "\ufeffa": false,
	} {
		cfg := auth.Config{AdminSecret: secret.Secret(text)}
		if err := cfg.CheckSecret(&cfg, &cfg.AdminSecret); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
