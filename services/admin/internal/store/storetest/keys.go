package storetest

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

func hashOf(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

func newKey(t *testing.T, name string, role adminkey.Role) adminkey.Key {
	return adminkey.Key{ID: newID(t), Name: name, Role: role, CreatedAt: start}
}

func record(action string) audit.Record {
	return audit.Record{
		Actor:  &audit.Actor{Id: "a1", Name: "Ada", Role: "owner", Ip: "192.0.2.1", RequestId: "r1"},
		Action: action,
		At:     start,
	}
}

// add stores a key whose secret is its name.
func add(t *testing.T, s Subject, name string, role adminkey.Role) adminkey.Key {
	t.Helper()
	k := newKey(t, name, role)
	r := record("admin_key.create")
	r.After = k.AuditView()
	if err := s.Keys.AddKey(t.Context(), k, hashOf(name), r); err != nil {
		t.Fatalf("add key: %v", err)
	}
	return k
}

func addedKeyIsFound(t *testing.T, s Subject) {
	want := add(t, s, "one", adminkey.Operator)
	got, err := s.Keys.ByHash(t.Context(), hashOf("one"))
	if err != nil {
		t.Fatalf("by hash: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Keys.ByHash(t.Context(), hashOf("other")); !errors.Is(err, adminkey.ErrInvalidKey) {
		t.Errorf("unknown hash: %v", err)
	}
	keys, err := s.Keys.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0] != want {
		t.Errorf("list: %v, %v", keys, err)
	}
	m := recorded(t, s, want.ID)["admin_key.create"]
	if m.GetActor().GetName() != "Ada" || !strings.Contains(m.GetAfterJson(), `"role":"operator"`) ||
		m.GetBeforeJson() != "" {
		t.Errorf("recorded %v", m)
	}
}

func revokedKeyIsGone(t *testing.T, s Subject) {
	add(t, s, "owner", adminkey.Owner)
	k := add(t, s, "viewer", adminkey.Viewer)
	got, err := s.Keys.RevokeKey(t.Context(), k.ID, record("admin_key.delete"))
	if err != nil || got != k {
		t.Fatalf("revoke: %v, %v", got, err)
	}
	if _, err := s.Keys.ByHash(t.Context(), hashOf("viewer")); !errors.Is(err, adminkey.ErrInvalidKey) {
		t.Errorf("a revoked key is found: %v", err)
	}
	if _, err := s.Keys.RevokeKey(t.Context(), k.ID,
		record("admin_key.delete")); !errors.Is(err, adminkey.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if keys, err := s.Keys.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("list: %v, %v", keys, err)
	}
	if m := recorded(t, s, k.ID)["admin_key.delete"]; !strings.Contains(m.GetBeforeJson(), `"name":"viewer"`) {
		t.Errorf("recorded %v", m)
	}
	if _, err := s.Keys.RevokeKey(t.Context(), newID(t),
		record("admin_key.delete")); !errors.Is(err, adminkey.ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
}

func lastOwnerStays(t *testing.T, s Subject) {
	first := add(t, s, "first", adminkey.Owner)
	if _, err := s.Keys.RevokeKey(t.Context(), first.ID,
		record("admin_key.delete")); !errors.Is(err, adminkey.ErrLastOwner) {
		t.Fatalf("the last owner: %v", err)
	}
	if m := recorded(t, s, first.ID)["admin_key.delete"]; m != nil {
		t.Errorf("a refused deletion is recorded: %v", m)
	}
	add(t, s, "second", adminkey.Owner)
	if _, err := s.Keys.RevokeKey(t.Context(), first.ID, record("admin_key.delete")); err != nil {
		t.Errorf("one of two owners: %v", err)
	}
}

func oneOwnerSurvivesARace(t *testing.T, s Subject) {
	var ids []string
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, add(t, s, name, adminkey.Owner).ID)
	}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { _, errs[i] = s.Keys.RevokeKey(t.Context(), id, record("admin_key.delete")) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if errors.Is(err, adminkey.ErrLastOwner) {
			refused++
		} else if err != nil {
			t.Errorf("revoke: %v", err)
		}
	}
	keys, err := s.Keys.Keys(t.Context())
	if err != nil || len(keys) != 1 || refused != 1 {
		t.Errorf("%d owners left, %d refused, %v", len(keys), refused, err)
	}
}

func configure(t *testing.T, s Subject, secret string) (adminkey.Key, bool) {
	t.Helper()
	k := newKey(t, "configuration", adminkey.Owner)
	live, err := s.Keys.ConfigureOwner(t.Context(), k, hashOf(secret), record("admin_key.configure"))
	if err != nil {
		t.Fatalf("configure: %v", err)
	}
	return k, live
}

func configuredOwner(t *testing.T, s Subject) {
	first, live := configure(t, s, "A")
	if got, err := s.Keys.ByHash(t.Context(), hashOf("A")); err != nil || got != first || !live {
		t.Fatalf("the first configured key: %v, %v, live %v", got, err, live)
	}
	if again, _ := configure(t, s, "A"); recorded(t, s, again.ID)["admin_key.configure"] != nil {
		t.Error("the same configuration was taken for a new one")
	}
	made := add(t, s, "made", adminkey.Owner)
	second, _ := configure(t, s, "B")
	if _, err := s.Keys.ByHash(t.Context(), hashOf("A")); !errors.Is(err, adminkey.ErrInvalidKey) {
		t.Errorf("the predecessor is still good: %v", err)
	}
	for secret, want := range map[string]adminkey.Key{"B": second, "made": made} {
		if got, err := s.Keys.ByHash(t.Context(), hashOf(secret)); err != nil || got != want {
			t.Errorf("key %s: %v, %v", secret, got, err)
		}
	}
	if recorded(t, s, first.ID)["admin_key.delete"] == nil || recorded(t, s, second.ID)["admin_key.configure"] == nil {
		t.Error("the change of the configured key is not recorded")
	}
}

func configuredByManyReplicas(t *testing.T, s Subject) {
	configure(t, s, "old")
	var wg sync.WaitGroup
	for _, secret := range []string{"new", "new", "new", "new", "rival", "rival"} {
		k := newKey(t, "configuration", adminkey.Owner)
		wg.Go(func() {
			if _, err := s.Keys.ConfigureOwner(t.Context(), k, hashOf(secret),
				record("admin_key.configure")); err != nil {
				t.Errorf("configure: %v", err)
			}
		})
	}
	wg.Wait()
	keys, err := s.Keys.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Errorf("after a race of replicas: %v, %v", keys, err)
	}
	if _, err := s.Keys.ByHash(t.Context(), hashOf("old")); !errors.Is(err, adminkey.ErrInvalidKey) {
		t.Errorf("the key of the configuration before is still good: %v", err)
	}
}

func revokedConfiguredKeyStaysSo(t *testing.T, s Subject) {
	configure(t, s, "A")
	configure(t, s, "B")
	if _, live := configure(t, s, "A"); live {
		t.Error("a replica with the old configuration revived the revoked key")
	}
	if _, err := s.Keys.ByHash(t.Context(), hashOf("A")); !errors.Is(err, adminkey.ErrInvalidKey) {
		t.Errorf("the revoked key: %v", err)
	}
	if _, err := s.Keys.ByHash(t.Context(), hashOf("B")); err != nil {
		t.Errorf("the key in force: %v", err)
	}
}
