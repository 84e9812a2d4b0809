package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/admin"
)

// Every route that admin does not answer itself: the request arrives at the owner as it came, with who asks, and the
// answer comes back as it left.
func TestForwardedRoutes(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	own := map[string]bool{"GET " + theLicenses: true, "GET " + theLicenses + "/usage": true,
		"GET " + theLicenses + "/refusals": true, "GET /api/v1/admin/statistics": true, "GET " + auditPath: true}
	known := map[string]forwardedRoute{}
	for _, r := range forwardedRoutes {
		known[r.method+" "+r.path] = r
	}
	for _, op := range operations(t) {
		name := op.method + " " + op.path
		r, ok := known[name]
		if own[name] || strings.HasPrefix(op.path, keysPath) {
			continue
		}
		if !ok {
			t.Errorf("%s: the test does not know it", name)
			continue
		}
		delete(known, name)
		t.Run(name, func(t *testing.T) { s.in(t).isForwarded(r) })
	}
	for name := range known {
		t.Errorf("%s: the document does not know it", name)
	}
}

func (s *harness) isForwarded(r forwardedRoute) {
	s.t.Helper()
	s.ownerOf(r).calls()
	res := s.call(ownerKey, r.method, r.path+"?page=%31&x=a&x=b", r.body, func(req *http.Request) {
		req.Header["If-Match"] = []string{`"1"`, `"2"`}
		req.Header.Set("Idempotency-Key", "once")
	})
	if res.status != r.status || string(res.body) != r.answer || res.header.Get("ETag") != `"3"` {
		s.t.Errorf("answered %d %v %s", res.status, res.header, res.body)
	}
	got := asked[request](s.t.(*testing.T), s.ownerOf(r))
	if got.method != r.method || got.uri != r.path+"?page=%31&x=a&x=b" || got.body != r.body ||
		len(got.header["If-Match"]) != 2 {
		s.t.Errorf("the owner got %+v", got)
	}
	if key := got.header.Get("Idempotency-Key"); (key == "once") != (r.method == http.MethodPost) {
		s.t.Errorf("the owner got the key %q", key)
	}
	most := httpx.DefaultTimeout
	for end, longer := range map[string]time.Duration{
		"/bulk-create": 20 * time.Second, "/import": 20 * time.Second, "/slaves": 20 * time.Second,
		"/bulk": 25 * time.Second, "/apply": 25 * time.Second,
		"/integrations/licensespring": 20 * time.Second, // it may make an RSA key
	} {
		if r.method == http.MethodPost && strings.HasSuffix(r.path, end) {
			most = longer
		}
	}
	if got.left > most || most > httpx.DefaultTimeout && got.left <= most/2 {
		s.t.Errorf("the owner has %v left", got.left)
	}
	if got.header.Get("X-Admin-API-Key") != "" {
		s.t.Error("the owner sees the admin key")
	}
	by := got.by
	if by.GetRole() != "owner" || by.GetName() != "configuration" || by.GetId() == "" || by.GetIp() != "192.0.2.1" ||
		by.GetRequestId() != res.header.Get("X-Request-ID") {
		s.t.Errorf("by %v", by)
	}
	for _, other := range []*peer{s.license, s.auth, s.analytics} {
		if calls := other.calls(); len(calls) > 0 {
			s.t.Errorf("somebody else was asked: %v", calls)
		}
	}
}

// Two administrators are two persons to the owner, so that their Idempotency-Keys are two.
func TestForwardedInTheCallersName(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	id, key := s.newKey("other \U0001F511", "operator")
	s.call(key, "POST", licenses, `{"customer_id":"a"}`, nil).want(http.StatusCreated, nil)
	if by := asked[request](t, s.license).by; by.GetId() != id || by.GetName() != "other \U0001F511" ||
		by.GetRole() != "operator" {
		t.Errorf("by %v", by)
	}
}

// A typed error of a rule reaches the user as it was made, one of ours does not.
func TestOwnersErrorsPassThrough(t *testing.T) {
	s := onSQLite(t, nil)
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"typed": {apierr.InvalidField("max_devices", "must be from 1 to 1000000"), 400,
			errcode.ValidationError},
		"conflict": {apierr.New(apierr.Conflict, errcode.LicenseKeyExists, "taken"), 409,
			errcode.LicenseKeyExists},
		"away":    {apierr.ErrUnavailable, 503, errcode.ServiceUnavailable},
		"untyped": {errors.New("disk on fire"), 500, errcode.InternalError},
		"untyped bad input": {connect.NewError(connect.CodeInvalidArgument, errors.New("what fire?")), 500,
			errcode.InternalError},
		"no credential": {apierr.New(apierr.Unauthenticated, errcode.InvalidToken, "of services, on fire"), 500,
			errcode.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.license.reply("POST "+licenses, func(*gin.Context) error { return test.err })
			res := s.call(ownerKey, "POST", licenses, `{"customer_id":"a"}`, nil).fails(test.status, test.code)
			if strings.Contains(string(res.body), "fire") {
				t.Errorf("leaked: %s", res.body)
			}
			if test.status == 503 && res.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}

// TestRefusedIdempotencyKeysOfDevices are answered as documented.
func TestRefusedIdempotencyKeysOfDevices(t *testing.T) {
	s := onSQLite(t, nil)
	for code, kind := range map[string]apierr.Kind{errcode.IdempotencyKeyReused: apierr.Unprocessable,
		errcode.IdempotencyKeyInUse: apierr.Conflict} {
		for _, path := range []string{theLicenses + "/devices/deactivate", theLicenses + "/transfer"} {
			s.license.reply("POST "+path, func(*gin.Context) error { return apierr.New(kind, code, "refused") })
			s.call(ownerKey, "POST", path, `{}`, header("Idempotency-Key", "k")).fails(kind.Status(), code)
		}
	}
}

// isSlaveImport tells it from the list of an organisation's slaves.
func isSlaveImport(method, path string) bool {
	return method == http.MethodPost && strings.HasSuffix(path, "/slaves")
}

// Bodies are as large here as at the owner, and no larger.
func TestForwardedBodies(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for _, r := range forwardedRoutes {
		limit := httpx.DefaultMaxBody
		if strings.HasSuffix(r.path, "/bulk-create") || strings.HasSuffix(r.path, "/bulk") ||
			strings.HasSuffix(r.path, "/import") || isSlaveImport(r.method, r.path) {
			limit = 10 << 20
		}
		if r.method == http.MethodGet {
			continue
		}
		body := strings.Repeat("x", limit)
		s.through(s.engine, ownerKey, r.method, r.path, body, nil).want(r.status, nil)
		if got := asked[request](t, s.ownerOf(r)); got.body != body {
			t.Errorf("%s %s: %d bytes arrived", r.method, r.path, len(got.body))
		}
		s.through(s.engine, ownerKey, r.method, r.path, body+"x", nil).
			fails(http.StatusRequestEntityTooLarge, errcode.PayloadTooLarge)
	}
	s.nobodyWasAsked()
}

// An owner that nobody reaches is a 503 that says when to try again.
func TestOwnerAway(t *testing.T) {
	s := onSQLite(t, func(c *admin.Config) {
		c.LicenseURL, c.AnalyticsURL, c.AuthURL = "http://nowhere", "http://nowhere", "http://nowhere"
	})
	for _, op := range operations(t) {
		if strings.HasPrefix(op.path, keysPath) || op.path == auditPath || strings.HasSuffix(op.path, "/statistics") {
			continue
		}
		res := s.call(ownerKey, op.method, op.path, nil, nil).
			fails(http.StatusServiceUnavailable, errcode.ServiceUnavailable)
		if res.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", op.method, op.path)
		}
	}
}
