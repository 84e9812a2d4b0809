package admin_test

import (
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1/adminv1connect"
	"github.com/latchkey-dev/latchkey/services/admin"
)

func TestWhoMayAskAboutAdminKeys(t *testing.T) {
	s := onSQLite(t, nil)
	rpctest.CheckCallers(t, s.service.InternalHandler(), admin.Name, adminv1.File_latchkey_admin_v1_admin_proto,
		map[string][]string{"LookUpAdminKey": {"license"}})
}

// asLicense asks as the license service does.
func (s *harness) asLicense() adminv1connect.AdminServiceClient {
	return adminv1connect.NewAdminServiceClient(
		rpc.HTTPClient(httpx.InProcess{"admin": s.service.InternalHandler()}), "http://admin",
		rpctest.Client("license", "admin")...)
}

func TestLookUpAdminKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		id, viewer := s.newKey("Ada", "viewer")
		look := func(sum []byte) (*adminv1.LookUpAdminKeyResponse, string) {
			res, err := s.asLicense().LookUpAdminKey(t.Context(),
				connect.NewRequest(&adminv1.LookUpAdminKeyRequest{Sha256: sum}))
			if err != nil {
				return nil, apierr.From(err).Code
			}
			return res.Msg, ""
		}
		hash := func(key string) []byte { sum := secret.Hash(key); return sum[:] }
		if k, code := look(hash(ownerKey)); code != "" || k.Role != "owner" || k.AdminKeyId == "" || k.Ended {
			t.Errorf("the owner: %v %s", k, code)
		}
		if k, code := look(hash(viewer)); code != "" || k.Role != "viewer" || k.AdminKeyId != id || k.Ended {
			t.Errorf("a viewer: %v %s", k, code)
		}
		for name, tt := range map[string]struct {
			sum  []byte
			code string
		}{
			"a key that nobody made": {hash("ak_nobody"), "INVALID_ADMIN_KEY"},
			"no hash":                {nil, "VALIDATION_ERROR"},
			"half a hash":            {hash(ownerKey)[:16], "VALIDATION_ERROR"},
			"more than a hash":       {append(hash(ownerKey), 0), "VALIDATION_ERROR"},
		} {
			if k, code := look(tt.sum); code != tt.code {
				t.Errorf("%s: %v %q, want %q", name, k, code, tt.code)
			}
		}
		s.call(ownerKey, http.MethodDelete, keysPath+"/"+id, nil, nil).want(http.StatusOK, nil)
		if k, code := look(hash(viewer)); code != "" || !k.Ended || k.AdminKeyId != "" || k.Role != "" {
			t.Errorf("a key that was revoked: %v %s", k, code)
		}
	})
}
