package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/auth"
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
	archtest.Imports(t, "./internal/manage", "gorm.io", "github.com/latchkey-dev/latchkey/services/auth/internal/store")
	archtest.Imports(t, "./internal/rpc", "gorm.io", "github.com/latchkey-dev/latchkey/services/auth/internal/store")
	archtest.Rules(t, "./...", "github.com/latchkey-dev/latchkey/services/license",
		"github.com/latchkey-dev/latchkey/services/analytics", "github.com/latchkey-dev/latchkey/services/admin")
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

func TestWhoMayAskWhat(t *testing.T) {
	w := onSQLite(t)
	rpctest.CheckCallers(t, w.service.InternalHandler(), auth.Name, authv1.File_latchkey_auth_v1_auth_proto,
		map[string][]string{
			"LookUpAPIKey":     {"license", "analytics"},
			"CheckAccessToken": {"license"}, "SignOfflineToken": {"license"}, "ListPublicKeys": {"license"},
		})
	rpctest.CheckManagement(t, w.service.InternalHandler().(*gin.Engine), auth.Name)
}

func TestRotateMasterKey(t *testing.T) {
	eachEngine(t, func(w *harness) {
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
		keys, err := store.New(w.db, outbox.New(w.db, "latchkey/auth"), masterkey.New(w.db, ring)).
			SigningKeys(w.Context())
		w.must(err)
		if keys[0].ID != w.kidOf(p.Access) {
			w.Errorf("key %s, want %s", keys[0].ID, w.kidOf(p.Access))
		}
	})
}

func TestPrune(t *testing.T) {
	eachEngine(t, func(w *harness) {
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
