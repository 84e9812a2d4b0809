//go:build unix

package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestOrderOfChecks sends requests with several things wrong at once to every operation of the four documents. The
// first of them is told: the credential (401), what it may do (403), its limit (429), the body's type and size (415,
// 413), its content (400), and only then what is missing (404).
func TestOrderOfChecks(t *testing.T) {
	each(t, func(w *harness) {
		c := &checks{attacker: newAttacker(w)}
		c.closed = c.apiKey(`{"client_name":"closed","allowed_endpoints":["/nothing"]}`)
		c.viewer = c.want(c.admin(http.MethodPost, "/keys", `{"name":"looks on","role":"viewer"}`), http.StatusCreated,
			"").text("admin_api_key")
		for _, op := range c.operations() {
			if op.header == "" && op.RequestBody == nil {
				continue
			}
			w.Run(op.method+" "+op.path, func(t *testing.T) {
				c := &checks{attacker: c.as(t), closed: c.closed, viewer: c.viewer}
				c.credential(op)
				c.permission(op)
				c.limit(op)
				c.body(op)
			})
		}
	})
}

type checks struct {
	*attacker
	// closed is an API key that may call nothing here, viewer an admin key that may change nothing.
	closed, viewer string
}

func (c *checks) apiKey(body string) string {
	c.Helper()
	return c.want(c.call(http.MethodPost, c.AuthURL+"/api/v1/auth/api-key", body, "X-Admin-Secret", c.AdminSecret),
		http.StatusCreated, "").text("api_key")
}

// worst is a request with a body of another type that is malformed, too large, and for a license that does not exist.
func (c *checks) worst(op operation, credential string) answer {
	c.Helper()
	return c.call(op.method, c.at(op, unknownID), "{"+strings.Repeat("x", op.maxBody()), op.header,
		op.prefix+credential, "Content-Type", "text/plain")
}

func (c *checks) told(what string, a answer, status int, code string) {
	c.Helper()
	got := a.code()
	if a.isOfDialect() {
		got = a.text("code")
	}
	if a.status != status || got != code {
		c.Errorf("%s: got %d %.300s, want %d %s", what, a.status, a.raw, status, code)
	}
}

func (c *checks) credential(op operation) {
	if op.header != "" {
		c.told("a wrong credential", c.worst(op, "wrong"), http.StatusUnauthorized, invalidCredential[op.header])
	}
}

func (c *checks) permission(op operation) {
	switch {
	case op.header == "X-API-Key":
		c.told("a key for other endpoints", c.worst(op, c.closed), http.StatusForbidden, "ENDPOINT_NOT_ALLOWED")
	case op.header == "X-Admin-API-Key" && op.method != http.MethodGet &&
		!strings.Contains(op.Description, "Role: viewer"):
		c.told("a role that only reads", c.worst(op, c.viewer), http.StatusForbidden, "ROLE_NOT_ALLOWED")
	}
}

func (c *checks) limit(op operation) {
	if op.header != "X-API-Key" {
		return
	}
	once := c.apiKey(`{"client_name":"once","allowed_endpoints":["*"],"rate_limit":{"per_minute":1}}`)
	c.worst(op, once)
	c.told("a key at its limit", c.worst(op, once), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
}

func (c *checks) body(op operation) {
	if op.RequestBody == nil {
		return
	}
	large := "{" + strings.Repeat("x", op.maxBody())
	a := c.send(op, c.at(op, unknownID), "{", "Content-Type", "text/plain")
	c.told("a type", a, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
	c.told("a size", c.send(op, c.at(op, unknownID), large), http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
	c.told("content", c.send(op, c.at(op, unknownID), "{"), http.StatusBadRequest, "VALIDATION_ERROR")
}
