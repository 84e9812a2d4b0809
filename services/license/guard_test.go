package license_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit/guardtest"
	"github.com/latchkey-dev/latchkey/services/license"
)

// failures is how many refused credentials of a kind an address may send a minute.
const failures = 60

func eachLimitedWorld(t *testing.T, test func(w *world)) {
	on := true
	eachEngine(t, func(t *testing.T, d *db.DB) {
		test(newWorld(t, d, func(c *license.Config) { c.AddressLimits = &on }))
	})
}

// carrying makes requests with a credential in a header.
func carrying(path, header, scheme, body string) func(credentials ...string) *http.Request {
	return func(credentials ...string) *http.Request {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/license/"+path, strings.NewReader(body))
		for _, credential := range credentials {
			req.Header.Add(header, scheme+credential)
		}
		return req
	}
}

func TestGuessesOfAPIKeys(t *testing.T) {
	eachLimitedWorld(t, func(w *world) {
		guardtest.Check(w.t.(*testing.T), guardtest.Route{
			Handler: w.public, Request: carrying("validate", "X-API-Key", "", "{}"), Limit: failures, Unguessable: true,
			Good:  func(*testing.T) string { return w.auth.apiKey },
			Ended: func(*testing.T) string { return w.auth.endedKey(secret.New("sk_")) },
			Wrong: []string{"sk_nonsense", secret.New("sk_"), secret.New("ak_")},
		})
	})
}

func TestRefusedTokensAreLimited(t *testing.T) {
	eachLimitedWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		n := 0
		good := func(*testing.T) string {
			n++
			hardwareID := fmt.Sprint("pc-", n)
			w.want(w.post("activate", device(key, hardwareID)), http.StatusCreated, "")
			return strings.TrimPrefix(w.bearer(id, hardwareID)[1], "Bearer ")
		}
		for _, path := range []string{"heartbeat", "offline-token"} {
			id, key = w.create(9, 30)
			wrong := good(w.t.(*testing.T))
			guardtest.Check(w.t.(*testing.T), guardtest.Route{
				Handler: w.public, Request: carrying(path, "Authorization", "Bearer ", ""), Limit: failures,
				Unguessable: true,
				Good:        good, Wrong: []string{"x.y.z", "nonsense",
					wrong[:strings.LastIndexByte(wrong, '.')+1] + strings.Repeat("A", 86)},
			})
			w.clock.Advance(time.Minute)
		}
	})
}

func TestRefusedOfflineTokensAreLimited(t *testing.T) {
	eachLimitedWorld(t, func(w *world) {
		id, key := w.create(9, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		issued := w.post("offline-token", `{"duration_hours": 24}`, w.bearer(id, "pc")...)
		w.want(issued, http.StatusCreated, "")
		good := issued.body["token"].(string)
		guardtest.Check(w.t.(*testing.T), guardtest.Route{
			Handler: w.public, Limit: failures, Unguessable: true, InBody: true,
			Request: func(credentials ...string) *http.Request {
				return httptest.NewRequest(http.MethodPost, "/api/v1/license/validate-offline",
					strings.NewReader(fmt.Sprintf(`{"token": %q}`, credentials[0])))
			},
			Good:  func(*testing.T) string { return good },
			Wrong: []string{"x.y.z", "nonsense", good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)},
		})
	})
}

// TestEventsDoNotNameAProxyAsTheClient: the address of a proxy that nobody named is marked as one. It is not left
// out: a client in a private network would hide its guesses behind a header.
func TestEventsDoNotNameAProxyAsTheClient(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		for _, call := range []struct{ path, holder, body, event string }{
			{"activate", "pc", device(key, "pc"), "license.activated"},
			{"validate", "pc", device(key, "pc"), "license.validated"},
			{"validate", "pc", device("LIC-000000000000", "pc"), "license.validation.failed"},
			{"heartbeat", "pc", "", "license.heartbeat"},
			{"heartbeat", "a device without a seat", "", "license.token.refused"},
			{"offline-token", "pc", "", "license.offline_token.issued"},
		} {
			headers := append(w.bearer(id, call.holder), "X-API-Key", w.auth.apiKey, "X-Forwarded-For", "203.0.113.5")
			req := carrying(call.path, headers[0], "", call.body)(headers[1])
			req.Header.Set(headers[2], headers[3])
			req.Header.Set(headers[4], headers[5])
			req.RemoteAddr = "127.0.0.1:1"
			w.public.ServeHTTP(httptest.NewRecorder(), req)
			e := w.eventually(call.event)
			var from struct {
				IP       string `json:"ip"`
				ViaProxy bool   `json:"via_proxy"`
			}
			if err := json.Unmarshal(e.Data, &from); err != nil {
				t.Fatal(err)
			}
			if from.IP != "127.0.0.1" || !from.ViaProxy || strings.Contains(string(e.Data), "203.0.113.5") {
				t.Errorf("%s: %s", e.Type, e.Data)
			}
		}
	})
}

// TestNoRouteTakesGuessesUnseen: a wrong license key leaves an event with its hash, whichever route it was tried on.
func TestNoRouteTakesGuessesUnseen(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		var took []string
		for _, route := range w.engine.Routes() {
			name, ok := strings.CutPrefix(route.Path, "/api/v1/license/")
			if !ok {
				continue
			}
			guess := strings.TrimSuffix(device("LIC-000000000000", "guess by "+name), "}") +
				`,"counter":"c","operation_id":"o"}`
			answer := w.call(route.Method, route.Path, guess, append(w.bearer(id, "pc"), "X-API-Key", w.auth.apiKey)...)
			if answer.body["error_code"] != "LICENSE_NOT_FOUND" {
				continue
			}
			took = append(took, name)
			w.await(func(e event.Event) bool {
				return strings.Contains(string(e.Data), "guess by "+name) &&
					strings.Contains(string(e.Data), `"license_key_hash":"`) &&
					slices.Contains([]string{"license.validation.failed", "license.activation.refused"}, e.Type)
			})
		}
		slices.Sort(took)
		if want := []string{"activate", "consume", "consume/undo", "deactivate", "leases", "license-file",
			"validate"}; !slices.Equal(took, want) {
			t.Errorf("routes that take a license key: %v, want %v", took, want)
		}
	})
}

// TestCallsThatTheClientAbandonsCount: a call whose client half-closed or reset its connection is carried out, and
// counts against its API key.
func TestCallsThatTheClientAbandonsCount(t *testing.T) {
	for _, endpoint := range []string{"activate", "deactivate", "validate"} {
		eachWorld(t, func(w *world) {
			_, key := w.create(9, 30)
			w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
			left, leave := context.WithCancel(w.t.Context())
			leave()
			failed := 0
			for i := range w.auth.limit.GetPerMinute() - 1 {
				rec := httptest.NewRecorder()
				req := carrying(endpoint, "X-API-Key", "", device(key, fmt.Sprint("pc-", i)))(w.auth.apiKey)
				w.public.ServeHTTP(rec, req.WithContext(left))
				if rec.Code >= http.StatusInternalServerError {
					failed++
				}
			}
			if failed > 0 {
				w.t.Errorf("%s: %d calls were cut off because their clients left", endpoint, failed)
			}
			w.want(w.post(endpoint, device(key, "pc")), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		})
	}
}

func withTokenLimit(perMinute int) func(*license.Config) {
	return func(c *license.Config) { c.TokenRateLimit = &perMinute }
}

// TestOneSeatCannotFlood: the tokens of one device may make so many calls a minute, whichever they are.
func TestOneSeatCannotFlood(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d, withTokenLimit(4))
		id, key := w.create(2, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		holder := w.bearer(id, "pc")
		for range 2 {
			w.want(w.post("heartbeat", "", holder...), http.StatusOK, "")
			w.want(w.post("offline-token", "", holder...), http.StatusCreated, "")
		}
		for _, path := range []string{"heartbeat", "offline-token"} {
			limited := w.post(path, "", holder...)
			w.want(limited, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
			if limited.header.Get("Retry-After") != "60" {
				t.Errorf("%s: %v", path, limited.header)
			}
		}
		w.want(w.post("activate", device(key, "other")), http.StatusCreated, "")
		w.want(w.post("heartbeat", "", w.bearer(id, "other")...), http.StatusOK, "")
		w.auth.familyID = "family-2"
		w.want(w.post("heartbeat", "", w.bearer(id, "pc")...), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		w.clock.Advance(time.Minute)
		w.want(w.post("heartbeat", "", holder...), http.StatusOK, "")
	})
}

// TestRevokedTokensTakeNothingFromTheirDevice: who holds a token that was revoked, with its family or as one from
// before the device took its seat again, cannot use up what the device may do with its new ones.
func TestRevokedTokensTakeNothingFromTheirDevice(t *testing.T) {
	revocations := map[string]func(w *world, id, key string){
		"family": func(w *world, _, _ string) {
			w.auth.revoke("family-1")
			w.auth.familyID, w.auth.tokenID = "family-2", "t-2"
		},
		"seat": func(w *world, _, key string) {
			w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
			w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		},
	}
	for name, revoke := range revocations {
		eachEngine(t, func(t *testing.T, d *db.DB) {
			w := newWorld(t, d, withTokenLimit(4), func(c *license.Config) {
				c.AddressLimits = new(bool)
				*c.AddressLimits = true
			})
			id, key := w.create(1, 30)
			w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
			stolen := w.bearer(id, "pc")
			revoke(w, id, key)
			honest := w.bearer(id, "pc")
			for i := range failures + 10 {
				path := []string{"heartbeat", "offline-token"}[i%2]
				if i < failures {
					w.want(w.post(path, "", stolen...), http.StatusUnauthorized, "INVALID_TOKEN")
				} else { // it counts by itself
					w.want(w.post(path, "", stolen...), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
				}
			}
			for range 4 {
				if got := w.post("heartbeat", "", honest...); got.status != http.StatusOK {
					t.Fatalf("%s: the device's own token got %d %v", name, got.status, got.body)
				}
			}
			w.want(w.post("heartbeat", "", honest...), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		})
	}
}

// TestRateLimitsArePruned in the background, however many there are.
func TestRateLimitsArePruned(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		guardtest.RateLimitsArePruned(t, d, func() {
			newWorld(t, d, func(c *license.Config) { c.RateLimitShared = true })
		})
	})
}
