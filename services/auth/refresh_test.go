package auth_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestReuseRevokesTheFamily(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		first, bystander := w.issue(client), w.issue(client)
		var second pair
		w.refresh(first.Refresh).is(200, "").into(&second)
		w.verify(second.Access).is(200, "")
		if reason := w.refresh(first.Refresh).is(401, errcode.InvalidToken).reason(); reason != "reused" {
			w.Errorf("reason %q", reason)
		}
		for name, a := range map[string]answer{
			"first access": w.verify(first.Access), "second access": w.verify(second.Access),
			"second refresh": w.refresh(second.Refresh),
		} {
			if reason := a.is(401, errcode.InvalidToken).reason(); reason != "revoked" {
				w.Errorf("%s: reason %q", name, reason)
			}
		}
		w.verify(bystander.Access).is(200, "")
		var reused eventsv1.LicenseTokenReused
		e := w.awaitEvent(1, &reused)
		if e.Subject != licenseID || reused.LicenseId != licenseID || reused.HardwareId != device ||
			reused.FamilyId == "" {
			w.Errorf("event %+v", &reused)
		}
		res, err := w.auth.CheckAccessToken(w.Context(),
			connect.NewRequest(&authv1.CheckAccessTokenRequest{FamilyId: reused.FamilyId, TokenId: licenseID}))
		w.must(err)
		if !res.Msg.Revoked {
			w.Error("peers are told that the family stands")
		}
		w.refresh(first.Refresh).is(401, errcode.InvalidToken)
		w.awaitEvent(5, &eventsv1.LicenseTokenRefused{})
		if n := len(w.events("license.token.reused")); n != 1 {
			w.Errorf("%d events of reuse, want 1", n)
		}
	})
}

// TestTokensOfASeatThatWasLeft: those issued before the device came back stay refused, those issued afterwards hold.
func TestTokensOfASeatThatWasLeft(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		first := w.issue(client)
		var old pair
		w.refresh(first.Refresh).is(200, "").into(&old)
		w.license.reseat()
		for name, a := range map[string]answer{
			"first access": w.verify(first.Access), "access": w.verify(old.Access), "refresh": w.refresh(old.Refresh),
		} {
			if reason := a.is(401, errcode.InvalidToken).reason(); reason != "revoked" {
				w.Errorf("%s: reason %q", name, reason)
			}
		}
		fresh := w.issue(client)
		w.verify(fresh.Access).is(200, "")
		w.refresh(fresh.Refresh).is(200, "")
	})
}

// TestRefreshAfterAPasswordReset: the family of a user whose credentials became void ends with its next refresh. One
// that nobody signed in for goes on, and one that a replica refreshes which has not heard of the newest credentials.
func TestRefreshAfterAPasswordReset(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		nobodys := w.issue(client)
		w.license.proved(new(int64(3)))
		first := w.issue(client)
		for _, goesOn := range []*int64{new(int64(3)), new(int64(2)), nil} {
			w.license.proved(goesOn)
			w.clock.Advance(time.Minute)
			w.refresh(first.Refresh).is(200, "").into(&first)
		}
		w.license.proved(new(int64(4)))
		w.verify(first.Access).is(200, "")
		for _, credentials := range []int64{4, 3} {
			w.license.proved(&credentials)
			for name, a := range map[string]answer{
				"refresh": w.refresh(first.Refresh), "access": w.verify(first.Access),
			} {
				if reason := a.is(401, errcode.InvalidToken).reason(); reason != "revoked" {
					w.Errorf("%s: reason %q", name, reason)
				}
			}
		}
		w.refresh(nobodys.Refresh).is(200, "")
		if n := len(w.events("license.token.reused")); n != 0 {
			w.Errorf("%d events of reuse, want none", n)
		}
	})
}

// TestRefreshWhoseAnswerWasLost refreshes again although the first answer is not known to have arrived.
func TestRefreshWhoseAnswerWasLost(t *testing.T) {
	next := func(w *harness, refresh string) (p pair) {
		w.Helper()
		w.clock.Advance(10 * time.Second) // until then the answer is repeated
		w.refresh(refresh).is(200, "").into(&p)
		return p
	}
	for name, test := range map[string]func(w *harness, first, lost pair){
		"nothing of the lost pair was used": func(w *harness, first, lost pair) {
			again := next(w, first.Refresh)
			if again.Refresh == lost.Refresh || again.Access == lost.Access {
				w.Error("the pair is not new")
			}
			w.verify(lost.Access).is(401, errcode.InvalidToken)
			w.verify(first.Access).is(200, "") // the hour of an earlier access token is not cut short
			w.verify(again.Access).is(200, "")
			next(w, again.Refresh)
		},
		"many lost answers in a row": func(w *harness, first, _ pair) {
			last := first
			for range 5 {
				last = next(w, first.Refresh)
			}
			next(w, last.Refresh)
		},
		"its access token was used here": func(w *harness, first, lost pair) {
			w.verify(lost.Access).is(200, "")
			w.dies(first, lost)
		},
		"its access token was used at another service": func(w *harness, first, lost pair) {
			var c claims.Access
			_, _, err := jwt.NewParser().ParseUnverified(lost.Access, &c)
			w.must(err)
			res, err := w.auth.CheckAccessToken(w.Context(),
				connect.NewRequest(&authv1.CheckAccessTokenRequest{FamilyId: c.FamilyID, TokenId: c.ID}))
			w.must(err)
			if res.Msg.Revoked || res.Msg.Void {
				w.Errorf("refused: %v", res.Msg)
			}
			w.dies(first, lost)
		},
		"its refresh token was used": func(w *harness, first, lost pair) {
			last := next(w, lost.Refresh)
			w.dies(first, last)
		},
		"the void one is presented": func(w *harness, first, lost pair) {
			again := next(w, first.Refresh)
			w.dies(lost, again)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(w *harness) {
				first := w.issue(w.client())
				w.refresh(first.Refresh).is(200, "")
				test(w, first, next(w, first.Refresh))
			})
		})
	}
}

// dies presents a refresh token that two parties hold, and expects the end of its family.
func (w *harness) dies(reused, last pair) {
	w.Helper()
	if reason := w.refresh(reused.Refresh).is(401, errcode.InvalidToken).reason(); reason != "reused" {
		w.Errorf("reason %q", reason)
	}
	w.verify(last.Access).is(401, errcode.InvalidToken)
	w.refresh(last.Refresh).is(401, errcode.InvalidToken)
	w.awaitEvent(1, &eventsv1.LicenseTokenReused{})
}

// TestRefreshWithAnIdempotencyKey: the same key and body get the same pair as long as nothing of it was used; another
// body is refused.
func TestRefreshWithAnIdempotencyKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		first := w.issue(w.client())
		once := w.refreshOnce("r-1", first.Refresh).is(200, "")
		var second pair
		once.into(&second)
		again := w.refreshOnce("r-1", first.Refresh).is(200, "")
		if again.body != once.body || once.replayed() || !again.replayed() {
			w.Errorf("first %s %v\nagain %s %v", once.body, once.header, again.body, again.header)
		}
		w.refreshOnce("r-1", second.Refresh).is(422, errcode.IdempotencyKeyReused)
		w.verify(second.Access).is(200, "")

		// A reuse that is refused under a key ends the family all the same.
		w.refreshOnce("r-2", first.Refresh).is(401, errcode.InvalidToken)
		w.verify(second.Access).is(401, errcode.InvalidToken)
		w.awaitEvent(1, &eventsv1.LicenseTokenReused{})
	})
}

// TestAnEarlierKeyGetsNoVoidPair: what it was answered became void when the same token was exchanged without a key, or
// with another, and nothing of the newer pair was used either. What it gets instead is no repeated answer.
func TestAnEarlierKeyGetsNoVoidPair(t *testing.T) {
	for name, later := range map[string]func(w *harness, raw string) answer{
		"without a key":    (*harness).refresh,
		"with another key": func(w *harness, raw string) answer { return w.refreshOnce("r-2", raw) },
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(w *harness) {
				first := w.issue(w.client())
				var void, newer, again pair
				w.refreshOnce("r-1", first.Refresh).is(200, "").into(&void)
				w.clock.Advance(10 * time.Second)
				later(w, first.Refresh).is(200, "").into(&newer)
				soon := w.refreshOnce("r-1", first.Refresh).is(200, "")
				if soon.into(&again); again != newer || soon.replayed() {
					w.Errorf("within ten seconds of %v the earlier key got %v %v", newer, again, soon.header)
				}
				w.clock.Advance(10 * time.Second)
				late := w.refreshOnce("r-1", first.Refresh).is(200, "")
				if late.into(&again); again == void || name == "without a key" && late.replayed() {
					w.Errorf("the void pair is repeated: %v", late.header)
				}
				w.verify(again.Access).is(200, "")
				w.refresh(again.Refresh).is(200, "")
			})
		})
	}
}

// TestTokensAreIssuedOncePerIdempotencyKey: who lost the answer gets the same pair, and each device has keys of its
// own.
func TestTokensAreIssuedOncePerIdempotencyKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		key := w.client()
		ask := func(body string) answer {
			return w.call("POST", "/api/v1/auth/token",
				headers{"X-API-Key": key["X-API-Key"], "Idempotency-Key": "t-1"}, body)
		}
		body := func(hardwareID, more string) string {
			return fmt.Sprintf(`{"license_id": %q, "hardware_id": %q%s}`, licenseID, hardwareID, more)
		}
		var first, again, other pair
		ask(body(device, "")).is(200, "").into(&first)
		ask(body(device, "")).is(200, "").into(&again)
		if first != again {
			w.Errorf("first %v, again %v", first, again)
		}
		ask(body(device, `, "client_time": "2026-03-01T12:00:00Z"`)).is(422, errcode.IdempotencyKeyReused)
		ask(body("another-device", "")).is(200, "").into(&other)
		if other.Refresh == first.Refresh {
			w.Error("another device got the same pair")
		}
		w.verify(first.Access).is(200, "")
	})
}

// TestUsedAnswersAreNotRepeated: anyone who copied a refresh token and its Idempotency-Key does not get the pair that
// is in use.
func TestUsedAnswersAreNotRepeated(t *testing.T) {
	for name, use := range map[string]func(w *harness, second pair){
		"its access token was used":  func(w *harness, second pair) { w.verify(second.Access).is(200, "") },
		"its refresh token was used": func(w *harness, second pair) { w.refresh(second.Refresh).is(200, "") },
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(w *harness) {
				first := w.issue(w.client())
				var second pair
				w.refreshOnce("r-1", first.Refresh).is(200, "").into(&second)
				use(w, second)
				if reason := w.refreshOnce("r-1", first.Refresh).is(401, errcode.InvalidToken).
					reason(); reason != "reused" {
					w.Errorf("reason %q", reason)
				}
				w.verify(second.Access).is(401, errcode.InvalidToken)
				w.awaitEvent(1, &eventsv1.LicenseTokenReused{})
			})
		})
	}
}

// replayed tells that the answer says to be one that was given before.
func (a answer) replayed() bool { return a.header.Get("Idempotency-Replayed") != "" }

func (w *harness) refreshOnce(key, token string) answer {
	w.Helper()
	return w.call("POST", "/api/v1/auth/refresh", headers{"Idempotency-Key": key},
		fmt.Sprintf(`{"refresh_token": %q}`, token))
}

// TestManyRefreshesAtOnce: at whatever replicas they come, all get one pair, and it works.
func TestManyRefreshesAtOnce(t *testing.T) {
	eachEngine(t, func(w *harness) {
		replicas := []*harness{w, w.replicaOn(w.bus)}
		first := w.issue(w.client())
		results := make([]answer, 40)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i] = replicas[i%2].refresh(first.Refresh) })
		}
		wg.Wait()
		pairs := map[pair]bool{}
		for _, a := range results {
			var p pair
			a.is(200, "").into(&p)
			pairs[p] = true
		}
		if len(pairs) != 1 {
			w.Fatalf("%d pairs, want 1", len(pairs))
		}
		for p := range pairs {
			w.verify(p.Access).is(200, "")
			w.refresh(p.Refresh).is(200, "")
		}
	})
}

// TestARepeatedAnswer: for ten seconds a token gets the pair that another replica gave for it, with a key of its own or
// without, and the pair is kept so that nobody else can read it. Then it is void, and used it is not repeated.
func TestARepeatedAnswer(t *testing.T) {
	eachEngine(t, func(w *harness) {
		there := w.replicaOn(w.bus)
		first := w.issue(w.client())
		var given, again, late pair
		w.refresh(first.Refresh).is(200, "").into(&given)
		w.clock.Advance(10*time.Second - time.Microsecond)
		for _, a := range []answer{there.refresh(first.Refresh), there.refreshOnce("r-1", first.Refresh)} {
			a.is(200, "").into(&again)
			if again != given {
				w.Errorf("given %v, again %v", given, again)
			}
		}
		var sealed []byte
		w.must(w.db.Read(w.Context()).Raw("SELECT answer FROM token_families").Row().Scan(&sealed))
		if len(sealed) < 100 || bytes.Contains(sealed, []byte(given.Refresh)) ||
			bytes.Contains(sealed, []byte(given.Access)) {
			w.Errorf("kept as %q", sealed)
		}
		w.clock.Advance(time.Microsecond)
		there.refresh(first.Refresh).is(200, "").into(&late)
		if late.Refresh == given.Refresh {
			w.Error("after ten seconds the pair is still the same")
		}
		w.verify(given.Access).is(401, errcode.InvalidToken)
		w.verify(late.Access).is(200, "")
		w.dies(first, late)
	})
}

// TestKeysOfATokenFillNothing: a family keeps its last answer, however many keys its owner sends.
func TestKeysOfATokenFillNothing(t *testing.T) {
	eachEngine(t, func(w *harness) {
		last := w.issue(w.client())
		var a answer
		for i := range 30 {
			token := last.Refresh
			a = w.refreshOnce(fmt.Sprint("r-", i), token).is(200, "")
			if again := w.refreshOnce(fmt.Sprint("r-", i), token).is(200, ""); again.body != a.body {
				w.Errorf("first %s\nagain %s", a.body, again.body)
			}
			a.into(&last)
		}
		var kept int
		w.must(w.db.Read(w.Context()).Raw("SELECT count(*) FROM idempotency_keys").Row().Scan(&kept))
		if kept != 1 {
			w.Errorf("%d answers are kept, want 1", kept)
		}
	})
}

// TestAnUnlicensedInstallationVoidsNoToken: while the installation itself is not licensed, all calls say so, and the
// tokens are good again afterwards.
func TestAnUnlicensedInstallationVoidsNoToken(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		p := w.issue(client)
		w.license.set(func(string, string) error {
			return apierr.New(apierr.Forbidden, errcode.ApplianceNotLicensed, "not licensed")
		})
		w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(403, errcode.ApplianceNotLicensed)
		w.verify(p.Access).is(403, errcode.ApplianceNotLicensed)
		w.refresh(p.Refresh).is(403, errcode.ApplianceNotLicensed)
		w.license.set(nil)
		w.verify(p.Access).is(200, "")
		w.refresh(p.Refresh).is(200, "")
	})
}
