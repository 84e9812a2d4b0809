package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/claims"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// publishAhead is how long a rotated key is published before it signs.
const publishAhead = 10 * time.Minute

func kids(t *testing.T, set []byte) []string {
	t.Helper()
	var doc struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range doc.Keys {
		ids[k.ID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

func TestFirstSigningKeyIsMadeOnce(t *testing.T) {
	testkit.EachEngine(t, auth.Migrations, func(t *testing.T, d *db.DB) {
		ring, err := keyring.New(auth.Name, masterKey(1))
		if err != nil {
			t.Fatal(err)
		}
		w := newHarness(t, d)
		sets := make([]string, 6)
		var wg sync.WaitGroup
		for i := range sets {
			wg.Go(func() {
				s := store.New(d, outbox.New(d, "latchkey/auth"), masterkey.New(d, ring))
				set, err := credential.NewSigningKeys(s, w.clock, nil).KeySet(context.Background())
				if err != nil {
					t.Error(err)
				}
				sets[i] = string(set)
			})
		}
		wg.Wait()
		for _, set := range sets {
			if len(kids(t, []byte(set))) != 1 || set != sets[0] {
				t.Errorf("replicas starting at once do not agree on one key: %s", sets)
			}
		}
	})
}

// command is what the commands of the auth binary work with: its own process, on the same database.
func (w *harness) command() *credential.SigningKeys {
	return credential.NewSigningKeys(w.store, w.clock, nil)
}

var operator = &credential.Actor{Id: "test", Role: "owner"}

func (w *harness) published() []string {
	w.Helper()
	return kids(w.T, []byte(w.call("GET", "/.well-known/jwks.json", nil, "").is(200, "").body))
}

// hears waits until the key set holds these keys alone. The clock stands still, so no age brings that about.
func (w *harness) hears(kids ...string) {
	w.Helper()
	slices.Sort(kids)
	testkit.Eventually(w, patience, func() error {
		if got := w.published(); !slices.Equal(got, kids) {
			return fmt.Errorf("published %v, want %v", got, kids)
		}
		return nil
	})
}

func TestRotateSigningKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		there := w.replicaOn(w.bus)
		p := w.issue(w.client())
		old := w.kidOf(p.Access)
		k, err := w.command().Rotate(w.Context(), operator)
		w.must(err)
		for _, replica := range []*harness{w, there} {
			replica.hears(old, k.ID)
		}
		client := w.client()
		if got := w.kidOf(w.issue(client).Access); got != old {
			w.Errorf("signed by %s before everybody knows it", got)
		}
		w.verify(p.Access).is(200, "")
		w.clock.Advance(publishAhead)
		fresh := w.issue(client)
		if got := w.kidOf(fresh.Access); got != k.ID {
			w.Errorf("signed by %s ten minutes later, want %s", got, k.ID)
		}
		for _, replica := range []*harness{w, there} {
			replica.verify(p.Access).is(200, "")
			replica.verify(fresh.Access).is(200, "")
		}
		w.clock.Advance(26 * time.Hour)
		w.hears(k.ID) // after the last token of the old key
	})
}

func (w *harness) kidOf(raw string) string {
	w.Helper()
	var h struct {
		ID string `json:"kid"`
	}
	w.must(json.Unmarshal(segment(w.T, raw, 0), &h))
	return h.ID
}

func TestKeyOfAnOfflineTokenStays(t *testing.T) {
	eachEngine(t, func(w *harness) {
		now := w.clock.Now()
		keys := credential.NewSigningKeys(w.store, w.clock, nil)
		end := now.Add(claims.MaxOfflineHours * time.Hour)
		sign := func(end time.Time) (string, error) {
			return keys.SignOffline(w.Context(), credential.Offline{
				TokenID: "t", LicenseID: licenseID, HardwareID: device, IssuedAt: now, ExpiresAt: end,
			})
		}
		signed, err := sign(end)
		w.must(err)
		_, err = sign(end.Add(time.Hour))
		if err == nil {
			w.Error("a token is signed for longer than any license may allow")
		}
		_, err = keys.Rotate(w.Context(), nil)
		w.must(err)
		for at, want := range map[time.Time]bool{end.Add(-time.Second): true, end.Add(3 * 24 * time.Hour): false} {
			w.clock.Set(at)
			set, err := keys.KeySet(w.Context())
			w.must(err)
			if got := slices.Contains(kids(w.T, set), w.kidOf(signed)); got != want {
				w.Errorf("at %s the key is published: %v", at, got)
			}
		}
	})
}

// revoke revokes a key as the command does.
func (w *harness) revoke(kid string) credential.Revocation {
	w.Helper()
	r, err := w.command().Revoke(w.Context(), operator, kid)
	w.must(err)
	return r
}

func (w *harness) refuses(access string) {
	w.Helper()
	testkit.Eventually(w, patience, func() error {
		if a := w.verify(access); a.status != 401 || a.reason() != "key" {
			return fmt.Errorf("verify answers %d %s", a.status, a.body)
		}
		return nil
	})
}

func TestRevokedSigningKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
		replicas := []*harness{w, w.replicaOn(w.bus)}
		client := w.client()
		p := w.issue(client)
		kid := w.kidOf(p.Access)
		for _, replica := range replicas {
			replica.verify(p.Access).is(200, "")
		}
		r := w.revoke(kid)
		if r.Before || !r.New || r.Key.ID != kid || r.Signer.ID == kid {
			w.Errorf("the revocation says %+v", r)
		}
		for _, replica := range replicas {
			replica.refuses(p.Access)
			replica.hears(r.Signer.ID)
			if got := w.kidOf(replica.issue(client).Access); got != r.Signer.ID {
				w.Errorf("signed by %s, want %s", got, r.Signer.ID)
			}
		}
		// A refresh token is no signed one: anyone who has the key cannot have made it.
		var next pair
		w.refresh(p.Refresh).is(200, "").into(&next)
		for _, replica := range replicas {
			replica.verify(next.Access).is(200, "")
		}

		var told eventsv1.SigningKeyRevoked
		if w.awaitEvent(1, &told); told.Kid != kid || told.SuccessorKid != r.Signer.ID {
			w.Errorf("the event says %v", &told)
		}
		var audited eventsv1.AuditRecorded
		testkit.Eventually(w, patience, func() error {
			for _, e := range w.events("audit.recorded") {
				if w.must(e.Into(&audited)); audited.Action == "signing_key.revoke" {
					return nil
				}
			}
			return errors.New("no audit entry")
		})
		after := audited.AfterJson
		if !strings.Contains(after, kid) || !strings.Contains(after, r.Signer.ID) || audited.Actor.GetId() != "test" {
			w.Errorf("the audit entry says %v", &audited)
		}
	})
}

func TestRevokeSigningKeyAgainOrUnknown(t *testing.T) {
	eachEngine(t, func(w *harness) {
		kid := w.kidOf(w.issue(w.client()).Access)
		first := w.revoke(kid)
		again := w.revoke(kid)
		if !again.Before || again.New || !again.Key.RevokedAt.Equal(first.Key.RevokedAt) ||
			again.Signer.ID != first.Signer.ID {
			w.Errorf("again: %+v after %+v", again, first)
		}
		pending, err := w.command().Rotate(w.Context(), operator)
		w.must(err)
		_, err = w.command().Revoke(w.Context(), operator, "nonsense")
		if !errors.Is(err, credential.ErrNoSigningKey) {
			w.Fatalf("an unknown key: %v", err)
		}
		for _, line := range []string{kid + "  revoked at ", first.Signer.ID + "  signs\n",
			pending.ID + "  published, signs from "} {
			if !strings.Contains(err.Error()+"\n", line) {
				w.Errorf("%q is not in: %v", line, err)
			}
		}
	})
}

// TestWhichKeySignsAfterARevocation revokes one of the keys a (replaced), b (signs) and c (announced).
func TestWhichKeySignsAfterARevocation(t *testing.T) {
	for _, tt := range []struct {
		name, revoked, signer string
		later                 string // when the announced key's time has come
		published             []string
	}{
		{"the one that was replaced", "a", "b", "c", []string{"b", "c"}},
		{"the one that signs", "b", "new", "new", []string{"a", "c", "new"}},
		{"the one that was announced", "c", "b", "b", []string{"a", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachEngine(t, func(w *harness) {
				client := w.client()
				names := map[string]string{w.kidOf(w.issue(client).Access): "a"}
				for _, name := range []string{"b", "c"} {
					k, err := w.command().Rotate(w.Context(), operator)
					w.must(err)
					names[k.ID] = name
					if name == "b" {
						w.clock.Advance(publishAhead)
					}
				}
				for kid, name := range maps.Clone(names) {
					if name == tt.revoked {
						if r := w.revoke(kid); r.New {
							names[r.Signer.ID] = "new"
						}
					}
				}
				testkit.Eventually(w, patience, func() error {
					var got []string
					for _, kid := range w.published() {
						got = append(got, names[kid])
					}
					if slices.Sort(got); !slices.Equal(got, tt.published) {
						return fmt.Errorf("published %v, want %v", got, tt.published)
					}
					return nil
				})
				if got := names[w.kidOf(w.issue(client).Access)]; got != tt.signer {
					w.Errorf("%s signs, want %s", got, tt.signer)
				}
				w.clock.Advance(publishAhead)
				if got := names[w.kidOf(w.issue(client).Access)]; got != tt.later {
					w.Errorf("%s signs later, want %s", got, tt.later)
				}
			})
		})
	}
}

func TestRevocationsAndRotationsAtOnce(t *testing.T) {
	eachEngine(t, func(w *harness) {
		kid := w.kidOf(w.issue(w.client()).Access)
		var all sync.WaitGroup
		var done atomic.Int32
		for range 4 {
			all.Go(func() {
				r, err := w.command().Revoke(w.Context(), operator, kid)
				if err != nil {
					w.Errorf("revoke: %v", err)
				}
				if !r.Before {
					done.Add(1)
				}
			})
			all.Go(func() {
				_, err := w.command().Rotate(w.Context(), operator)
				if err != nil && !errors.Is(err, credential.ErrRotationUnderWay) {
					w.Errorf("rotate: %v", err)
				}
			})
		}
		all.Wait()
		keys, err := w.store.SigningKeys(w.Context())
		w.must(err)
		now, signers := w.clock.Now(), 0
		for _, k := range keys {
			if k.RevokedAt.IsZero() && !k.SignsFrom.After(now) {
				signers++
			}
		}
		if done.Load() != 1 || signers != 1 {
			w.Errorf("%d revocations count, and %d keys may sign; want one of each", done.Load(), signers)
		}
	})
}

// Without the bus a replica knows by the age of what it keeps; what it has never learned of it looks up.
func TestRevokedSigningKeyWithoutTheBus(t *testing.T) {
	eachEngine(t, func(w *harness) {
		silent := deafBus{w.bus, make(chan struct{})}
		deaf := w.replicaOn(silent)
		<-silent.watched
		client := w.client()
		p := w.issue(client)
		deaf.verify(p.Access).is(200, "")
		r := w.revoke(w.kidOf(p.Access))
		w.hears(r.Signer.ID)
		deaf.verify(p.Access).is(200, "") // it has not heard
		p = w.issue(client)
		if before := deaf.published(); slices.Contains(before, r.Signer.ID) {
			w.Fatalf("published already: %v", before)
		}
		for _, fresh := range []pair{deaf.issue(client), p} {
			if got := w.kidOf(fresh.Access); got != r.Signer.ID { // it has looked
				w.Errorf("signed by %s, want %s", got, r.Signer.ID)
			}
			deaf.verify(fresh.Access).is(200, "")
		}
		second := w.revoke(r.Signer.ID)
		w.clock.Advance(5*time.Second - time.Microsecond)
		deaf.verify(p.Access).is(200, "")
		w.clock.Advance(time.Microsecond)
		a := deaf.verify(p.Access).is(401, "INVALID_TOKEN")
		if a.reason() != "key" {
			w.Errorf("refused because of %s", a.reason())
		}
		if got := deaf.published(); !slices.Equal(got, []string{second.Signer.ID}) {
			w.Errorf("published %v, want %s alone", got, second.Signer.ID)
		}
	})
}
