package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// badBodies are wrong for whatever takes a body.
var badBodies = map[string]struct {
	body   string
	edit   func(*http.Request)
	status int
	code   string
}{
	"truncated":         {`{"customer_id":"a"`, nil, 400, errcode.ValidationError},
	"no JSON":           {`hello`, nil, 400, errcode.ValidationError},
	"list":              {`[]`, nil, 400, errcode.ValidationError},
	"null":              {`null`, nil, 400, errcode.ValidationError},
	"text":              {`"x"`, nil, 400, errcode.ValidationError},
	"two objects":       {`{} {}`, nil, 400, errcode.ValidationError},
	"trailing garbage":  {`{}x`, nil, 400, errcode.ValidationError},
	"byte order mark":   {"\ufeff{}", nil, 400, errcode.ValidationError},
	"UTF-16":            {"{\x00}\x00", nil, 400, errcode.ValidationError},
	"NUL in a string":   {`{"x":"a\u0000b"}`, nil, 400, errcode.ValidationError},
	"raw NUL":           {"{\"x\":\"a\x00b\"}", nil, 400, errcode.ValidationError},
	"control character": {`{"x":"a\u001bb"}`, nil, 400, errcode.ValidationError},
	"invalid UTF-8":     {"{\"x\":\"a\xffb\"}", nil, 400, errcode.ValidationError},
	"lone surrogate":    {`{"x":"\ud800"}`, nil, 400, errcode.ValidationError},
	"deep nesting": {`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, nil, 400,
		errcode.ValidationError},
	"comment": {`{/* */}`, nil, 400, errcode.ValidationError},
	"NaN":     {`{"x":NaN}`, nil, 400, errcode.ValidationError},
	"2 MiB":   {`{"x":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, errcode.PayloadTooLarge},
	"another media type": {`customer_id=a`, contentType("application/x-www-form-urlencoded"), 415,
		errcode.UnsupportedMediaType},
	"compressed":          {`{}`, header("Content-Encoding", "gzip"), 415, errcode.UnsupportedMediaType},
	"duplicated and torn": {`{"x":1,"x":`, nil, 400, errcode.ValidationError},
}

func contentType(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", value) }
}

// TestTheBodyOfAGetIsNotRead: not by admin's own routes, nor by those that it forwards.
func TestTheBodyOfAGetIsNotRead(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for _, path := range []string{licenses, keysPath} {
		for _, name := range []string{"2 MiB", "another media type", "no JSON"} {
			s.call(ownerKey, http.MethodGet, path, badBodies[name].body, badBodies[name].edit).want(http.StatusOK, nil)
		}
	}
}

func TestBadBodies(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for _, op := range operations(t) {
		if op.method == http.MethodGet || !strings.HasPrefix(op.path, keysPath) {
			continue // those of others are their owners' to read
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			s := s.in(t)
			for name, bad := range badBodies {
				res := s.call(ownerKey, op.method, op.path, bad.body, bad.edit)
				if res.status != bad.status || !strings.Contains(string(res.body), bad.code) {
					t.Errorf("%s: %d, want %d\n%s", name, res.status, bad.status, res.body)
				}
			}
		})
	}
	s.nobodyWasAsked()
}

// nobodyWasAsked fails the test when a peer learned of what was refused.
func (s *harness) nobodyWasAsked() {
	s.t.Helper()
	if calls := append(append(s.license.calls(), s.auth.calls()...), s.analytics.calls()...); len(calls) > 0 {
		s.t.Errorf("%d bad requests reached a peer, the first: %v", len(calls), calls[0])
	}
	if keys := s.keys(); len(keys) != 1 {
		s.t.Errorf("bad requests made keys: %+v", keys)
	}
}

// Each member of a new key, with every wrong type and every wrong value.
func TestWrongMembers(t *testing.T) {
	s := onSQLite(t, nil)
	for _, member := range []string{"name", "role"} {
		for _, value := range []string{`1`, `true`, `[]`, `{}`} {
			res := s.call(ownerKey, "POST", keysPath, `{"`+member+`":`+value+`}`, nil).
				fails(400, errcode.ValidationError)
			if !strings.Contains(string(res.body), `"`+member+`":"must`) {
				t.Errorf("%s = %s: %s", member, value, res.body)
			}
		}
	}
	for _, bad := range []string{`{}`, `{"name":"a"}`, `{"role":"owner"}`, `{"name":" ","role":"owner"}`,
		`{"name":"a","role":"Owner"}`, `{"name":"` + strings.Repeat("ä", 256) + `","role":"owner"}`} {
		s.call(ownerKey, "POST", keysPath, bad, nil).fails(400, errcode.ValidationError)
	}
	for _, bad := range []string{strings.Repeat("k", 256), "k\tk", "ü"} {
		s.call(ownerKey, "POST", keysPath, `{"name":"a","role":"viewer"}`, header("Idempotency-Key", bad)).
			fails(400, errcode.ValidationError)
	}
	s.nobodyWasAsked()
}

// TestIntegratorC3KnownNames: what the call does not take is refused by name, with what to do; a body of nothing else
// is fine.
func TestIntegratorC3KnownNames(t *testing.T) {
	s := onSQLite(t, nil)
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", keysPath, `{"name":"a","rol":"viewer"}`, "did you mean role?"},
		{"DELETE", keysPath + "/" + licenseID, `{"reason":"x"}`, "is unknown"},
		{"GET", keysPath + "?page=1", ``, "none is taken here"},
		{"GET", theLicenses + "?days=1", ``, "none is taken here"},
		{"GET", theLicenses + "/usage?hours=1", ``, "days"},
		{"GET", "/api/v1/admin/statistics?days=1", ``, "none is taken here"},
		{"GET", auditPath + "?actr_id=1", ``, "did you mean actor_id?"},
	} {
		res := s.through(s.engine, ownerKey, test.method, test.path, test.body, nil).
			fails(http.StatusBadRequest, errcode.ValidationError)
		if !strings.Contains(string(res.body), test.says) {
			t.Errorf("%s %s %s: %s", test.method, test.path, test.body, res.body)
		}
	}
	s.nobodyWasAsked()
}

func TestBadQueries(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	numbers := []string{"", "0", "-1", "1.5", "x", "1e3", "9223372036854775808", strings.Repeat("9", 400), "%00", "%ff",
		"1&NAME=2"}
	times := []string{"", "soon", "2026-13-01", "0000-01-01T00:00:00Z", "99999-01-01", "2026-01-01T10:00:00", "%00"}
	texts := []string{"", "%00", "%ff", strings.Repeat("a", 256), "a%0ab"}
	for path, params := range map[string]map[string][]string{
		theLicenses + "/refusals": {"page": numbers, "per_page": append(slices.Clone(numbers), "101")},
		theLicenses + "/usage":    {"days": append(slices.Clone(numbers), "367")},
		auditPath: {"page": numbers, "per_page": append(slices.Clone(numbers), "101"), "after": times,
			"cursor": append(slices.Clone(texts), "x", "IHg", "IDE&page=1"),
			"before": times, "actor_id": texts, "action": texts, "license_id": texts},
	} {
		t.Run(path, func(t *testing.T) {
			s := s.in(t)
			for name, values := range params {
				for _, value := range values {
					s.call(ownerKey, "GET", path+"?"+name+"="+strings.ReplaceAll(value, "NAME", name), nil, nil).
						fails(400, errcode.ValidationError)
				}
			}
			s.call(ownerKey, "GET", path+"?%zz=1", nil, nil).fails(400, errcode.ValidationError)
		})
	}
	s.nobodyWasAsked()
}

func TestUnknownIDsAndMethods(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	methods := map[string][]string{}
	for _, op := range operations(t) {
		methods[op.path] = append(methods[op.path], op.method)
		slices.Sort(methods[op.path])
	}
	for _, op := range operations(t) {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			s := s.in(t)
			for _, method := range []string{"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE",
				"MADEUP"} {
				if slices.Contains(methods[op.path], method) ||
					method == "HEAD" && slices.Contains(methods[op.path], "GET") {
					continue
				}
				res := s.through(s.engine, ownerKey, method, op.path, nil, nil)
				res.fails(http.StatusMethodNotAllowed, errcode.MethodNotAllowed)
				allowed := strings.Split(res.header.Get("Allow"), ", ")
				slices.Sort(allowed)
				if !slices.Equal(allowed, methods[op.path]) {
					t.Errorf("%s: Allow %q, want %q", method, allowed, methods[op.path])
				}
			}
			if !strings.HasPrefix(op.path, keysPath+"/") {
				return
			}
			for _, id := range []string{"1", "x", licenseID + "0", licenseID[:35], "%7B" + licenseID[2:] + "%7D", "%00",
				"%ff", "' OR 1=1--", strings.Repeat("a", 9000), strings.ReplaceAll(licenseID, "-", "")} {
				path := strings.Replace(op.path, licenseID, strings.ReplaceAll(id, " ", "%20"), 1)
				s.through(s.engine, ownerKey, op.method, path, nil, nil).fails(http.StatusNotFound, errcode.NotFound)
			}
		})
	}
	s.call(ownerKey, "GET", "/api/v1/admin/nothing", nil, nil).fails(http.StatusNotFound, errcode.NotFound)
	s.nobodyWasAsked()
}

func FuzzAnyBytesToAnyEndpoint(f *testing.F) {
	f.Add(0, []byte(`{"name":"a","role":"viewer"}`))
	f.Add(1, []byte("{\"x\":\"\xff\"}"))
	for _, bad := range badBodies {
		f.Add(0, []byte(bad.body))
	}
	targets := [][2]string{
		{"POST", keysPath}, {"DELETE", keysPath + "/" + licenseID}, {"POST", licenses},
		{"PATCH", apiKeysPath + "/" + licenseID},
	}
	s := onSQLite(f, nil)
	s.answerAll()
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		target := targets[((which%len(targets))+len(targets))%len(targets)]
		res := s.in(t).through(s.engine, ownerKey, target[0], target[1], string(body), nil)
		if res.status >= 500 || !json.Valid(res.body) {
			t.Errorf("%s %s: %d %s", target[0], target[1], res.status, res.body)
		}
		s.license.calls()
	})
}
