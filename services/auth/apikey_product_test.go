package auth_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
)

// A key that is bound to a product says so to anyone who asks about it, asks for tokens of that product's licenses
// alone, and stays bound.
func TestAnAPIKeyBoundToAProduct(t *testing.T) {
	eachEngine(t, func(w *harness) {
		k := w.createKey(`{"client_name": "app", "product": "editor-2.x"}`)
		if k.Product == nil || *k.Product != "editor-2.x" {
			w.Errorf("made with %v", k.Product)
		}
		found, err := w.auth.LookUpAPIKey(w.Context(),
			connect.NewRequest(&authv1.LookUpAPIKeyRequest{Sha256: hash(k.APIKey)}))
		if err != nil || found.Msg.GetProduct() != "editor-2.x" {
			w.Errorf("looked up: %v, %v", found, err)
		}
		w.issue(headers{"X-API-Key": k.APIKey})
		if product := w.license.lastAsked().GetProduct(); product != "editor-2.x" {
			w.Errorf("tokens were asked for of the product %q", product)
		}
		w.issue(w.client())
		if product := w.license.lastAsked().GetProduct(); product != "" {
			w.Errorf("a key without a product asked for %q", product)
		}
		w.call("PATCH", keysPath+"/"+k.ID, asAdmin, `{"product": "viewer"}`).is(400, errcode.ValidationError)
		for _, bad := range []string{`"a b"`, `"é"`, `7`, `"` + strings.Repeat("x", 65) + `"`} {
			w.call("POST", "/api/v1/auth/api-key", asAdmin, `{"client_name": "app", "product": `+bad+`}`).
				is(400, errcode.ValidationError)
		}
	})
}
