package auth_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	"github.com/latchkey-dev/latchkey/proto/claims"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

func TestDocumentAndRoutesAgree(t *testing.T) {
	w := onSQLite(t)
	openapitest.Check(t, openapi.Auth, w.service.Handler().(*gin.Engine).Routes())
}

func TestWhoImportsWhom(t *testing.T) {
	archtest.Rules(t, "./internal/credential", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq",
		"github.com/latchkey-dev/latchkey/services/auth/internal/store")
	archtest.Imports(t, "./internal/credential", "net/http")
	archtest.Imports(t, "./internal/api", "gorm.io", "github.com/latchkey-dev/latchkey/services/auth/internal/store")
	archtest.Imports(t, "./internal/rpc", "gorm.io", "github.com/latchkey-dev/latchkey/services/auth/internal/store")
	archtest.Rules(t, "./...", "github.com/latchkey-dev/latchkey/services/license", "github.com/latchkey-dev/latchkey/services/analytics",
		"github.com/latchkey-dev/latchkey/services/admin")
}

func TestValidateNamesWhatIsMissing(t *testing.T) {
	cfg := auth.DefaultConfig()
	cfg.Env = "production"
	err := cfg.Validate()
	if err == nil {
		t.Fatal("an empty configuration passes")
	}
	for _, name := range []string{"LATCHKEY_INTERNAL_KEY", "LATCHKEY_ADMIN_SECRET", "LATCHKEY_MASTER_KEY"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestM9WhoMayAskWhat(t *testing.T) {
	w := onSQLite(t)
	admin := []string{"admin"}
	rpctest.CheckCallers(t, w.service.InternalHandler(), auth.Name, authv1.File_latchkey_auth_v1_auth_proto, map[string][]string{
		"LookUpAPIKey":     {"license", "analytics"},
		"CheckAccessToken": {"license"}, "SignOfflineToken": {"license"}, "ListPublicKeys": {"license"},
		"CreateAPIKey": admin, "ListAPIKeys": admin, "UpdateAPIKey": admin, "RotateAPIKey": admin, "RevokeAPIKey": admin,
	})
}

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
		w := newWorld(t, d)
		sets := make([]string, 6)
		var wg sync.WaitGroup
		for i := range sets {
			wg.Go(func() {
				s := store.New(d, outbox.New(d, "latchkey/auth"), masterkey.New(d, ring))
				set, err := credential.New(credential.Deps{Clock: w.clock, Signing: s}).KeySet(context.Background())
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

func TestRotateSigningKey(t *testing.T) {
	eachEngine(t, func(w *world) {
		p := w.issue(w.client())
		before := kids(w.T, []byte(w.call("GET", "/.well-known/jwks.json", nil, "").body))
		rules := credential.New(credential.Deps{Clock: w.clock, Signing: w.store})
		k, err := rules.RotateSigningKey(w.Context(), &credential.Actor{Id: "test", Role: "owner"})
		w.must(err)
		w.clock.Advance(time.Minute) // this replica looks again
		published := kids(w.T, []byte(w.call("GET", "/.well-known/jwks.json", nil, "").body))
		if len(published) != 2 || !slices.Contains(published, before[0]) || !slices.Contains(published, k.ID) {
			w.Fatalf("published %v after %v and %s", published, before, k.ID)
		}
		client := w.client()
		if got := w.kidOf(w.issue(client).Access); got != before[0] {
			w.Errorf("signed by %s before everybody knows it", got)
		}
		w.verify(p.Access).is(200, "")
		w.clock.Advance(9 * time.Minute)
		fresh := w.issue(client)
		if got := w.kidOf(fresh.Access); got != k.ID {
			w.Errorf("signed by %s ten minutes later, want %s", got, k.ID)
		}
		w.verify(p.Access).is(200, "")
		w.verify(fresh.Access).is(200, "")
		w.clock.Advance(26 * time.Hour)
		if published = kids(w.T, []byte(w.call("GET", "/.well-known/jwks.json", nil, "").body)); !slices.Equal(published, []string{k.ID}) {
			w.Errorf("published %v after the last token of the old key, want %s alone", published, k.ID)
		}
	})
}

func (w *world) kidOf(raw string) string {
	w.Helper()
	var h struct {
		ID string `json:"kid"`
	}
	w.must(json.Unmarshal(segment(w.T, raw, 0), &h))
	return h.ID
}

func TestKeyOfAnOfflineTokenStays(t *testing.T) {
	eachEngine(t, func(w *world) {
		now := w.clock.Now()
		rules := credential.New(credential.Deps{Clock: w.clock, Signing: w.store})
		end := now.Add(claims.MaxOfflineHours * time.Hour)
		signed, err := rules.SignOffline(w.Context(), credential.Offline{TokenID: "t", LicenseID: licenseID, HardwareID: device, IssuedAt: now, ExpiresAt: end})
		w.must(err)
		_, err = rules.SignOffline(w.Context(), credential.Offline{TokenID: "t", LicenseID: licenseID, HardwareID: device, IssuedAt: now, ExpiresAt: end.Add(time.Hour)})
		if err == nil {
			w.Error("M9: a token is signed for longer than any license may allow")
		}
		_, err = rules.RotateSigningKey(w.Context(), nil)
		w.must(err)
		for at, want := range map[time.Time]bool{end.Add(-time.Second): true, end.Add(3 * 24 * time.Hour): false} {
			w.clock.Set(at)
			set, err := rules.KeySet(w.Context())
			w.must(err)
			if got := slices.Contains(kids(w.T, set), w.kidOf(signed)); got != want {
				w.Errorf("at %s the key is published: %v", at, got)
			}
		}
	})
}

func TestRotateMasterKey(t *testing.T) {
	eachEngine(t, func(w *world) {
		p := w.issue(w.client())
		ring, err := keyring.New(auth.Name, masterKey(2), masterKey(1))
		w.must(err)
		n, err := masterkey.New(w.db, ring, store.SigningKeyRows(w.db, ring)).Rotate(w.Context(), func(string, int) {})
		w.must(err)
		if n != 1 {
			w.Errorf("%d keys were sealed anew, want 1", n)
		}
		ring, err = keyring.New(auth.Name, masterKey(2)) // the old key is gone
		w.must(err)
		keys, err := store.New(w.db, outbox.New(w.db, "latchkey/auth"), masterkey.New(w.db, ring)).SigningKeys(w.Context())
		w.must(err)
		if keys[0].ID != w.kidOf(p.Access) {
			w.Errorf("key %s, want %s", keys[0].ID, w.kidOf(p.Access))
		}
	})
}

func TestPrune(t *testing.T) {
	eachEngine(t, func(w *world) {
		client := w.client()
		old := w.issue(client)
		var kept pair
		w.refresh(w.issue(client).Refresh).is(200, "").into(&kept)
		w.clock.Advance(29 * 24 * time.Hour)
		w.refresh(kept.Refresh).is(200, "").into(&kept)
		w.clock.Advance(2 * 24 * time.Hour)
		n, err := w.store.Prune(w.Context(), w.clock.Now())
		w.must(err)
		if n != 4 { // the old family with its token, and the two first tokens of the other
			w.Errorf("%d rows were pruned, want 4", n)
		}
		if !secret.WellFormed("rt_", old.Refresh) {
			w.Error("a refresh token is not well formed")
		}
		w.refresh(kept.Refresh).is(200, "")
	})
}
