package auth_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// What anybody may send without a credential is small.
func TestSmallBodiesWithoutCredential(t *testing.T) {
	w := onSQLite(t)
	w.call("POST", "/api/v1/auth/refresh", nil, `{"refresh_token":"`+strings.Repeat("x", 16<<10)+`"}`).
		is(413, errcode.PayloadTooLarge)
}

// A token read from a file or a form comes with what was around it.
func TestTokensAreTrimmed(t *testing.T) {
	w := onSQLite(t)
	p := w.issue(w.client())
	w.verify("\ufeff"+p.Access+"\u200b").is(200, "")
	w.refresh(p.Refresh+"\r\n").is(200, "")
}

// A date as the end of a key, and the zero dates of languages.
func TestKeyEndsWithItsDay(t *testing.T) {
	w := onSQLite(t)
	k := w.createKey(`{"client_name": "app\n", "expires_at": "2099-01-31"}`)
	if got := k.ExpiresAt.Format("2006-01-02T15:04:05Z07:00"); got != "2099-01-31T23:59:59Z" {
		t.Errorf("the key ends at %s", got)
	}
	if k.ClientName != "app" {
		t.Errorf("the name is %q", k.ClientName)
	}
	if k := w.createKey(`{"client_name": "app", "expires_at": null, "rate_limit": null, ` +
		`"allowed_endpoints": null}`); k.ExpiresAt != nil {
		t.Errorf("null ends at %v", k.ExpiresAt)
	}
}
