package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

const apiKeysPath = "/api/v1/admin/api-keys"

func aKey() *authv1.APIKey {
	return &authv1.APIKey{
		ApiKeyId: licenseID, ClientName: "app", AllowedEndpoints: []string{"*"}, CreatedAt: timestamppb.New(now),
		RateLimit: &authv1.RateLimit{PerMinute: 60, PerHour: 1000, Per: "key"},
	}
}

// TestC5APIKeysThroughAdmin: what an owner asks for arrives at auth with who asked, and the answer has auth's members.
func TestC5APIKeysThroughAdmin(t *testing.T) {
	s := onSQLite(t, nil)
	const shown = `"id":"` + licenseID + `",`
	const rest = `"client_name":"app","allowed_endpoints":["*"],"rate_limit":{"per_minute":60,"per_hour":1000,"per":"key"},` +
		`"created_at":"2026-03-02T12:00:00Z","expires_at":null`
	on(s.auth, authv1connect.AuthServiceCreateAPIKeyProcedure, func(*authv1.CreateAPIKeyRequest) (*authv1.CreateAPIKeyResponse, error) {
		return &authv1.CreateAPIKeyResponse{ApiKey: aKey(), Secret: "sk_x"}, nil
	})
	on(s.auth, authv1connect.AuthServiceListAPIKeysProcedure, func(*authv1.ListAPIKeysRequest) (*authv1.ListAPIKeysResponse, error) {
		return &authv1.ListAPIKeysResponse{ApiKeys: []*authv1.APIKey{aKey()}}, nil
	})
	on(s.auth, authv1connect.AuthServiceUpdateAPIKeyProcedure, func(*authv1.UpdateAPIKeyRequest) (*authv1.UpdateAPIKeyResponse, error) {
		return &authv1.UpdateAPIKeyResponse{ApiKey: aKey()}, nil
	})
	on(s.auth, authv1connect.AuthServiceRotateAPIKeyProcedure, func(*authv1.RotateAPIKeyRequest) (*authv1.RotateAPIKeyResponse, error) {
		return &authv1.RotateAPIKeyResponse{ApiKey: aKey(), Secret: "sk_y", OldExpiresAt: timestamppb.New(now)}, nil
	})
	on(s.auth, authv1connect.AuthServiceRevokeAPIKeyProcedure, func(*authv1.RevokeAPIKeyRequest) (*authv1.RevokeAPIKeyResponse, error) {
		return &authv1.RevokeAPIKeyResponse{RevokedAt: timestamppb.New(now)}, nil
	})
	name, perMinute, per, endless := "app", int32(600), "address", timestamppb.New(time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC))
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
		asked              any
	}{
		{"POST", "", `{"client_name":"app","rate_limit":{"per":"address"},"expires_at":"2027-01-31"}`, 201, `{` + shown + `"api_key":"sk_x",` + rest + `}`,
			&authv1.CreateAPIKeyRequest{ApiKey: &authv1.APIKeyChange{ClientName: &name, AllowedEndpoints: &authv1.Endpoints{}, Per: &per, ExpiresAt: endless}}},
		{"GET", "", "", 200, `{"api_keys":[{` + shown + rest + `}]}`, &authv1.ListAPIKeysRequest{}},
		{"PATCH", "/" + licenseID, `{"rate_limit":{"per_minute":600}}`, 200, `{` + shown + rest + `}`,
			&authv1.UpdateAPIKeyRequest{ApiKeyId: licenseID, Change: &authv1.APIKeyChange{PerMinute: &perMinute}}},
		{"PATCH", "/" + licenseID, `{"expires_at":null,"allowed_endpoints":[],"client_name":"app"}`, 200, `{` + shown + rest + `}`,
			&authv1.UpdateAPIKeyRequest{ApiKeyId: licenseID, Change: &authv1.APIKeyChange{ClientName: &name, AllowedEndpoints: &authv1.Endpoints{}, Endless: true}}},
		{"POST", "/" + licenseID + "/rotate", `{"grace_seconds":60}`, 200,
			`{` + shown + `"api_key":"sk_y",` + rest + `,"old_api_key_expires_at":"2026-03-02T12:00:00Z"}`,
			&authv1.RotateAPIKeyRequest{ApiKeyId: licenseID, GraceSeconds: 60}},
		{"DELETE", "/" + licenseID, "", 200, `{` + shown + `"revoked":true,"revoked_at":"2026-03-02T12:00:00Z"}`, &authv1.RevokeAPIKeyRequest{ApiKeyId: licenseID}},
	} {
		s.auth.calls()
		res := s.call(ownerKey, tt.method, apiKeysPath+tt.path, tt.body, nil).want(tt.status, nil)
		if got := string(res.body); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got, tt.want)
		}
		asked := s.auth.calls()
		if len(asked) != 1 {
			t.Fatalf("%s %s: auth was asked %d times", tt.method, tt.path, len(asked))
		}
		if by, ok := asked[0].(interface{ GetActor() *rpcv1.Actor }); ok && (by.GetActor().GetRole() != "owner" || by.GetActor().GetName() != "configuration") {
			t.Errorf("%s %s: by %v", tt.method, tt.path, by.GetActor())
		}
		if diff := cmp.Diff(tt.asked, asked[0], protocmp.Transform(), protocmp.IgnoreMessages(&rpcv1.Actor{})); diff != "" {
			t.Errorf("%s %s: %s", tt.method, tt.path, diff)
		}
	}
}

func TestAPIKeysRefused(t *testing.T) {
	s := onSQLite(t, nil)
	_, operator := s.newKey("o", "operator")
	s.call(operator, "GET", apiKeysPath, nil, nil).fails(http.StatusForbidden, errcode.RoleNotAllowed)
	on(s.auth, authv1connect.AuthServiceRevokeAPIKeyProcedure, func(req *authv1.RevokeAPIKeyRequest) (*authv1.RevokeAPIKeyResponse, error) {
		if strings.Trim(req.ApiKeyId, "0-") != "" {
			t.Errorf("auth was asked for %s", req.ApiKeyId)
		}
		return nil, apierr.New(apierr.NotFound, errcode.NotFound, "there is no such key")
	})
	for _, id := range []string{"no-uuid", "%ff", "%00"} {
		s.call(ownerKey, "DELETE", apiKeysPath+"/"+id, nil, nil).fails(http.StatusNotFound, errcode.NotFound)
	}
}
