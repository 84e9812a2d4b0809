package admin_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

const module = "github.com/latchkey-dev/latchkey/services/"

func TestDocumentNamesTheRoutes(t *testing.T) {
	openapitest.Check(t, openapi.Admin, onSQLite(t, nil).engine.Routes())
}

func TestImports(t *testing.T) {
	others := []string{module + "auth", module + "license", module + "analytics", module + "standalone"}
	wires := []string{"gorm.io", "github.com/gin-gonic", "github.com/rabbitmq"}
	archtest.Rules(t, "./...", others...)
	archtest.Rules(t, "./internal/adminkey", wires...)
	archtest.Rules(t, "./internal/audit", wires...)
	archtest.Imports(t, "./internal/api", "gorm.io", module+"admin/internal/store")
	archtest.Imports(t, ".", "gorm.io", "github.com/rabbitmq")
}

// operation is one documented route with ids that exist, and the role that its description demands.
type operation struct {
	method, path, role string
	takesBody          bool
}

var roleWord = regexp.MustCompile(`Role: (\w+)`)

func operations(t *testing.T) []operation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Admin)
	if err != nil {
		t.Fatal(err)
	}
	var ops []operation
	for path, item := range doc.Paths.Map() {
		path = strings.NewReplacer("{license_id}", licenseID, "{key_id}", licenseID, "{code}", "editor",
			"{customer_id}", "a", "{name}", "exports", "{version}", "2.1.0", "{device_id}", licenseID, "{block_id}",
			licenseID, "{integration_id}", licenseID,
			"{lease_id}", licenseID, "{group_id}", licenseID, "{user_id}", licenseID, "{enrollment_key_id}", licenseID,
			"{organisation}", anOrganisation, "{master}", anOrganisation, "{slave}", anOrganisation).
			Replace(path)
		for method, op := range item.Operations() {
			role := roleWord.FindStringSubmatch(op.Description)
			if role == nil {
				t.Fatalf("%s %s: the description names no role", method, path)
			}
			ops = append(ops, operation{method, path, role[1], op.RequestBody != nil})
		}
	}
	return ops
}

// Every route with every kind of credential: only an admin key with the documented role gets past the door.
func TestRoleMatrix(t *testing.T) {
	s := onSQLite(t, nil)
	rank := map[string]int{"viewer": 1, "operator": 2, "owner": 3}
	keys := map[string]string{"owner": ownerKey}
	_, keys["viewer"] = s.newKey("v", "viewer")
	_, keys["operator"] = s.newKey("o", "operator")
	deletedID, deleted := s.newKey("gone", "owner")
	s.call(ownerKey, "DELETE", "/api/v1/admin/keys/"+deletedID, nil, nil).want(http.StatusOK, nil)

	refused := map[string]func(*http.Request){
		"none":         nil,
		"garbage":      header("X-Admin-API-Key", "garbage"),
		"empty":        header("X-Admin-API-Key", ""),
		"too long":     header("X-Admin-API-Key", strings.Repeat("a", 5000)),
		"blank within": header("X-Admin-API-Key", ownerKey[:9]+" "+ownerKey[9:]),
		"other case":   header("X-Admin-API-Key", strings.ToUpper(ownerKey)),
		"prefix of it": header("X-Admin-API-Key", ownerKey[:len(ownerKey)-1]),
		"deleted key":  header("X-Admin-API-Key", deleted),
		"API key":      header("X-API-Key", ownerKey),
		"admin secret": header("X-Admin-Secret", ownerKey),
		"bearer":       header("Authorization", "Bearer "+ownerKey),
		"query": func(r *http.Request) {
			r.URL.RawQuery = "X-Admin-API-Key=" + ownerKey + "&api_key=" + ownerKey
		},
		"sent twice": func(r *http.Request) {
			r.Header.Add("X-Admin-API-Key", ownerKey)
			r.Header.Add("X-Admin-API-Key", ownerKey)
		},
	}
	for _, op := range operations(t) {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			s := s.in(t)
			for name, edit := range refused {
				res := s.call("", op.method, op.path, nil, edit)
				if res.status != http.StatusUnauthorized ||
					!strings.Contains(string(res.body), errcode.InvalidAdminKey) {
					t.Errorf("%s: %d %s", name, res.status, res.body)
				}
			}
			for role, key := range keys {
				// Nothing answers behind the door, so anyone who gets in meets any error but 401 and 403.
				res := s.call(key, op.method, op.path, nil, nil)
				allowed := rank[role] >= rank[op.role]
				if res.status == http.StatusUnauthorized || (res.status == http.StatusForbidden) == allowed {
					t.Errorf("%s: %d, the document asks for %s", role, res.status, op.role)
				}
				if !allowed {
					res.fails(http.StatusForbidden, errcode.RoleNotAllowed)
				}
			}
		})
	}
}
