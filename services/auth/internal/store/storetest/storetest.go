// Package storetest holds a store to what package credential expects of it.
package storetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// Store is everything under test.
type Store interface {
	credential.KeyStore
	credential.FamilyStore
	credential.SigningStore
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)

// Run runs the suite; open returns an empty store, and how many events it has committed.
func Run(t *testing.T, open func(t *testing.T) (s Store, events func() int)) {
	for name, test := range map[string]func(*testing.T, Store, func() int){
		"keys": keys, "rotate": rotate, "revoke once": revokeOnce, "families": families,
		"lost answers": lostAnswers,
		"one chain":    oneChain, "forgotten": forgotten, "revoked family": revokedFamily,
		"signing keys": signingKeys, "one first key": oneFirstKey,
	} {
		t.Run(name, func(t *testing.T) {
			s, events := open(t)
			test(t, s, events)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newID(t *testing.T) string {
	id, err := uuid.NewV7()
	must(t, err)
	return id.String()
}

func newKey(t *testing.T, s Store) (credential.APIKey, [32]byte) {
	t.Helper()
	k := credential.APIKey{
		ID:         newID(t),
		ClientName: "app \u6f22",
		Allowed:    []string{"/a", "*"},
		CreatedAt:  now,
		ExpiresAt:  now.Add(time.Hour),
		RateLimit:  credential.RateLimit{PerMinute: 0, PerHour: 7, Per: "address"},
	}
	hash := secret.Hash(k.ID)
	must(t, s.CreateKey(t.Context(), k, credential.KeySecret{Hash: hash, CreatedAt: now}, created(k)))
	return k, hash
}

func created(k credential.APIKey) credential.Record {
	return credential.Record{Subject: k.ID, Message: &eventsv1.ApiKeyCreated{ApiKeyId: k.ID}}
}

func none(credential.APIKey) []credential.Record { return nil }

func keys(t *testing.T, s Store, events func() int) {
	k, hash := newKey(t, s)
	got, held, err := s.KeyBySecret(t.Context(), hash)
	must(t, err)
	if diff := cmp.Diff(k, got); diff != "" || held.Hash != hash || !held.ExpiresAt.IsZero() ||
		!held.CreatedAt.Equal(now) {
		t.Errorf("key: %s secret: %+v", diff, held)
	}
	if _, _, err := s.KeyBySecret(t.Context(), [32]byte{}); !errors.Is(err, credential.ErrAPIKeyNotFound) {
		t.Errorf("unknown secret: %v", err)
	}
	// A secret that is taken must leave nothing behind: neither the key nor its event.
	if err := s.CreateKey(t.Context(), credential.APIKey{
		ID:        newID(t),
		Allowed:   []string{"*"},
		RateLimit: k.RateLimit,
		CreatedAt: now,
	},
		credential.KeySecret{Hash: hash, CreatedAt: now}, created(k)); err == nil {
		t.Error("a secret was given out twice")
	}
	all, err := s.Keys(t.Context())
	must(t, err)
	if diff := cmp.Diff([]credential.APIKey{k}, all); diff != "" {
		t.Error(diff)
	}
	if n := events(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func rotate(t *testing.T, s Store, events func() int) {
	k, first := newKey(t, s)
	second, third := [32]byte{2}, [32]byte{3}
	end := now.Add(time.Minute)
	record := func(k credential.APIKey) []credential.Record { return []credential.Record{created(k)} }
	got, err := s.RotateKey(t.Context(), k.ID, credential.KeySecret{Hash: second, CreatedAt: now}, end, record)
	must(t, err)
	if diff := cmp.Diff(k, got); diff != "" {
		t.Error(diff)
	}
	// A longer grace must not give the first secret more time than it had.
	_, err = s.RotateKey(t.Context(), k.ID, credential.KeySecret{
		Hash:      third,
		CreatedAt: now,
	}, end.Add(time.Hour), record)
	must(t, err)
	for hash, want := range map[[32]byte]time.Time{first: end, second: end.Add(time.Hour), third: {}} {
		_, held, err := s.KeyBySecret(t.Context(), hash)
		must(t, err)
		if !held.ExpiresAt.Equal(want) {
			t.Errorf("secret %x ends %s, want %s", hash[:2], held.ExpiresAt, want)
		}
	}
	if _, err := s.RotateKey(t.Context(), newID(t), credential.KeySecret{
		Hash:      [32]byte{4},
		CreatedAt: now,
	}, end, none); !errors.Is(err, credential.ErrAPIKeyNotFound) {
		t.Errorf("unknown key: %v", err)
	}
	if n := events(); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func revokeOnce(t *testing.T, s Store, events func() int) {
	k, hash := newKey(t, s)
	var revoked atomic.Int32
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			err := s.RevokeKey(context.Background(), k.ID, now, func(k credential.APIKey) []credential.Record {
				return []credential.Record{created(k)}
			})
			switch {
			case err == nil:
				revoked.Add(1)
			case !errors.Is(err, credential.ErrAPIKeyNotFound):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if revoked.Load() != 1 || events() != 2 {
		t.Errorf("revoked %d times with %d events, want once with one beside the first", revoked.Load(), events())
	}
	if found, _, err := s.KeyBySecret(t.Context(), hash); err != nil || found.RevokedAt.IsZero() {
		t.Errorf("a revoked key is not known as one: %+v, %v", found, err)
	}
	all, err := s.Keys(t.Context())
	must(t, err)
	if len(all) != 0 {
		t.Errorf("a revoked key is listed: %v", all)
	}
}

func newFamily(t *testing.T, s Store) (credential.Family, credential.RefreshToken) {
	t.Helper()
	f := credential.Family{ID: newID(t), LicenseID: newID(t), HardwareID: "device-1", CreatedAt: now,
		Standing: credential.Standing{LicenseVersion: 7, UserCredentials: new(int64(3))}}
	first := credential.RefreshToken{
		Hash: secret.Hash(f.ID), FamilyID: f.ID, AccessID: newID(t), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	must(t, s.CreateFamily(t.Context(), f, first))
	f.Current, f.ExpiresAt = first.Hash, first.ExpiresAt
	return f, first
}

func next(t *testing.T, f credential.Family) credential.RefreshToken {
	id := newID(t)
	return credential.RefreshToken{
		Hash:      secret.Hash(id),
		FamilyID:  f.ID,
		AccessID:  id,
		CreatedAt: now.Add(time.Second),
		ExpiresAt: now.Add(2 * time.Hour),
	}
}

func families(t *testing.T, s Store, _ func() int) {
	f, first := newFamily(t, s)
	gotFamily, gotToken, err := s.RefreshToken(t.Context(), first.Hash)
	must(t, err)
	if diff := cmp.Diff(f, gotFamily) + cmp.Diff(first, gotToken); diff != "" {
		t.Error(diff)
	}
	if _, _, err := s.RefreshToken(t.Context(), [32]byte{}); !errors.Is(err, credential.ErrTokenUnknown) {
		t.Errorf("unknown token: %v", err)
	}
	other, _ := newFamily(t, s)
	access(t, s, f, first, credential.AccessState{})
	access(t, s, credential.Family{ID: newID(t)}, first, credential.AccessState{Revoked: true})
	access(t, s, other, first, credential.AccessState{Void: true})
}

// access presents the access token of a pair.
func access(t *testing.T, s Store, f credential.Family, of credential.RefreshToken, want credential.AccessState) {
	t.Helper()
	if got, err := s.UseAccess(t.Context(), f.ID, of.AccessID); err != nil || got != want {
		t.Errorf("access token: %+v, %v; want %+v", got, err, want)
	}
}

// exchange presents the refresh token of a pair and returns the next pair.
func exchange(
	t *testing.T, s Store, f credential.Family, of credential.RefreshToken, want bool,
) credential.RefreshToken {
	t.Helper()
	made := next(t, f)
	if got, err := offer(t.Context(), s, of, made); err != nil || got != want {
		t.Errorf("refresh token: accepted %v, %v; want %v", got, err, want)
	}
	return made
}

// lostAnswers has pairs replaced until one of them is used.
func lostAnswers(t *testing.T, s Store, _ func() int) {
	f, first := newFamily(t, s)
	lost := exchange(t, s, f, first, true)
	again := exchange(t, s, f, first, true)
	access(t, s, f, lost, credential.AccessState{Void: true})
	exchange(t, s, f, lost, false)
	access(t, s, f, first, credential.AccessState{})
	exchange(t, s, f, first, true) // the use of an older access token says nothing of the newest pair
	access(t, s, f, again, credential.AccessState{Void: true})

	f, first = newFamily(t, s)
	arrived := exchange(t, s, f, first, true)
	access(t, s, f, arrived, credential.AccessState{})
	exchange(t, s, f, first, false)
	later := exchange(t, s, f, arrived, true)
	exchange(t, s, f, first, false)
	access(t, s, f, arrived, credential.AccessState{})
	got, _, err := s.RefreshToken(t.Context(), later.Hash)
	must(t, err)
	if got.Current != later.Hash || got.Previous != arrived.Hash || got.InUse || got.Rotations != 2 {
		t.Errorf("family %+v", got)
	}
}

// oneChain has one token exchanged by many at once, while another presents the access token of the first pair that
// comes of it: exactly one refresh token is good afterwards, and no pair that was admitted becomes void.
func oneChain(t *testing.T, s Store, _ func() int) {
	f, first := newFamily(t, s)
	const callers = 8
	made, accepted, admitted := make([]credential.RefreshToken, callers), make([]bool, callers), make([]bool, callers)
	for i := range made {
		made[i] = next(t, f)
	}
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			ok, err := offer(context.Background(), s, first, made[i])
			if err != nil {
				t.Error(err)
			}
			if accepted[i] = ok; !ok || i%2 == 0 {
				return
			}
			state, err := s.UseAccess(context.Background(), f.ID, made[i].AccessID)
			if err != nil {
				t.Error(err)
			}
			admitted[i] = !state.Void && !state.Revoked
		})
	}
	wg.Wait()
	got, _, err := s.RefreshToken(t.Context(), first.Hash)
	must(t, err)
	current := 0
	for i := range made {
		if accepted[i] && got.Current == made[i].Hash {
			current++
		}
		if admitted[i] && got.Current != made[i].Hash {
			t.Errorf("pair %d was admitted and then replaced", i)
		}
	}
	if current != 1 {
		t.Errorf("%d of the pairs given out are the current one, want 1", current)
	}
}

// forgotten rotates for longer than tokens are remembered.
func forgotten(t *testing.T, s Store, _ func() int) {
	f, first := newFamily(t, s)
	last := first
	for range 1010 {
		last = exchange(t, s, f, last, true)
	}
	if _, _, err := s.RefreshToken(t.Context(), first.Hash); !errors.Is(err, credential.ErrTokenUnknown) {
		t.Errorf("the first token is still known: %v", err)
	}
	access(t, s, f, last, credential.AccessState{})
}

func revokedFamily(t *testing.T, s Store, events func() int) {
	f, first := newFamily(t, s)
	reused := credential.Record{Subject: f.LicenseID, Message: &eventsv1.LicenseTokenReused{FamilyId: f.ID}}
	for i, want := range []bool{true, false} {
		if revoked, err := s.RevokeFamily(t.Context(), f.ID, now, reused); err != nil || revoked != want {
			t.Errorf("call %d: %v, %v", i+1, revoked, err)
		}
	}
	if n := events(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	exchange(t, s, f, first, false)
	access(t, s, f, first, credential.AccessState{Revoked: true})
	if got, _, err := s.RefreshToken(t.Context(), first.Hash); err != nil || !got.RevokedAt.Equal(now) {
		t.Errorf("revoked at %s, %v", got.RevokedAt, err)
	}
}

func newSigningKey(t *testing.T, id string, generation int) credential.SigningKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	return credential.SigningKey{
		ID:         id,
		Generation: generation,
		Private:    private,
		CreatedAt:  now,
		SignsFrom:  now.Add(time.Minute),
	}
}

func signingKeys(t *testing.T, s Store, _ func() int) {
	second, first := newSigningKey(t, "b", 2), newSigningKey(t, "a", 1)
	for _, k := range []credential.SigningKey{second, first} {
		if added, err := s.AddSigningKey(t.Context(), k); !added || err != nil {
			t.Fatalf("add: %v, %v", added, err)
		}
	}
	must(t, s.ExtendSigningKey(t.Context(), "a", now.Add(time.Hour)))
	must(t, s.ExtendSigningKey(t.Context(), "a", now)) // shorter: no effect
	first.NeededUntil = now.Add(time.Hour)
	got, err := s.SigningKeys(t.Context())
	must(t, err)
	if diff := cmp.Diff([]credential.SigningKey{first, second}, got); diff != "" {
		t.Error(diff)
	}
}

func oneFirstKey(t *testing.T, s Store, events func() int) {
	var added atomic.Int32
	var wg sync.WaitGroup
	for i := range 5 {
		k := newSigningKey(t, string(rune('a'+i)), 1)
		wg.Go(func() {
			ok, err := s.AddSigningKey(context.Background(), k, credential.Record{
				Subject: k.ID,
				Message: &eventsv1.AuditRecorded{Action: "signing_key.rotate"},
			})
			if err != nil {
				t.Error(err)
			}
			if ok {
				added.Add(1)
			}
		})
	}
	wg.Wait()
	got, err := s.SigningKeys(t.Context())
	must(t, err)
	if added.Load() != 1 || len(got) != 1 || events() != 1 {
		t.Errorf("%d were added, %d are there, %d events; want one of each", added.Load(), len(got), events())
	}
}
