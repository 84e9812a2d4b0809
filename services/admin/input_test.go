package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// badBodies are wrong for whatever takes a body.
var badBodies = map[string]struct {
	body   string
	edit   func(*http.Request)
	status int
	code   string
}{
	"truncated":           {`{"customer_id":"a"`, nil, 400, errcode.ValidationError},
	"no JSON":             {`hello`, nil, 400, errcode.ValidationError},
	"list":                {`[]`, nil, 400, errcode.ValidationError},
	"null":                {`null`, nil, 400, errcode.ValidationError},
	"text":                {`"x"`, nil, 400, errcode.ValidationError},
	"two objects":         {`{} {}`, nil, 400, errcode.ValidationError},
	"trailing garbage":    {`{}x`, nil, 400, errcode.ValidationError},
	"byte order mark":     {"\ufeff{}", nil, 400, errcode.ValidationError},
	"UTF-16":              {"{\x00}\x00", nil, 400, errcode.ValidationError},
	"NUL in a string":     {`{"x":"a\u0000b"}`, nil, 400, errcode.ValidationError},
	"raw NUL":             {"{\"x\":\"a\x00b\"}", nil, 400, errcode.ValidationError},
	"control character":   {`{"x":"a\u001bb"}`, nil, 400, errcode.ValidationError},
	"invalid UTF-8":       {"{\"x\":\"a\xffb\"}", nil, 400, errcode.ValidationError},
	"lone surrogate":      {`{"x":"\ud800"}`, nil, 400, errcode.ValidationError},
	"deep nesting":        {`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, nil, 400, errcode.ValidationError},
	"comment":             {`{/* */}`, nil, 400, errcode.ValidationError},
	"NaN":                 {`{"x":NaN}`, nil, 400, errcode.ValidationError},
	"2 MiB":               {`{"x":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, errcode.PayloadTooLarge},
	"another media type":  {`customer_id=a`, contentType("application/x-www-form-urlencoded"), 415, errcode.UnsupportedMediaType},
	"compressed":          {`{}`, header("Content-Encoding", "gzip"), 415, errcode.UnsupportedMediaType},
	"duplicated and torn": {`{"x":1,"x":`, nil, 400, errcode.ValidationError},
}

func contentType(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", value) }
}

func TestBadBodies(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for _, op := range operations(t) {
		if op.method == http.MethodGet {
			continue
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			s := s.in(t)
			for name, bad := range badBodies {
				status, code := bad.status, bad.code
				if name == "2 MiB" && strings.HasSuffix(op.path, "/bulk-create") {
					status, code = 400, errcode.ValidationError // it takes 10 MiB, but has no licenses
				}
				res := s.call(ownerKey, op.method, op.path, bad.body, bad.edit)
				if res.status != status || !strings.Contains(string(res.body), code) {
					t.Errorf("%s: %d, want %d\n%s", name, res.status, status, res.body)
				}
			}
		})
	}
	s.nobodyWasAsked()
}

// nobodyWasAsked fails the test when a sister heard of what was refused.
func (s *suite) nobodyWasAsked() {
	s.t.Helper()
	if calls := append(s.license.calls(), s.analytics.calls()...); len(calls) > 0 {
		s.t.Errorf("%d bad requests reached a sister, the first: %v", len(calls), calls[0])
	}
	if keys := s.keys(); len(keys) != 1 {
		s.t.Errorf("bad requests made keys: %+v", keys)
	}
}

// Each member of each body, with every wrong type.
func TestWrongTypes(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	const (
		text   = "text"
		number = "number"
		truth  = "bool"
		list   = "list"
		object = "object"
	)
	wrong := map[string][]string{
		text:   {`1`, `true`, `[]`, `{}`},
		number: {`"1"`, `1.5`, `1e400`, `2147483648`, `-2147483649`, `9223372036854775808`, strings.Repeat("9", 400), `true`, `[]`, `{}`},
		truth:  {`1`, `"true"`, `[]`, `{}`},
		list:   {`1`, `"a"`, `{}`, `[1]`, `[null]`, `[["a"]]`},
		object: {`1`, `"a"`, `[]`, `true`},
	}
	license := map[string]string{"customer_id": text, "max_devices": number, "max_offline_hours": number, "features": list, "is_test": truth, "metadata": object}
	change := map[string]string{"is_active": truth, "expires_at": text, "deactivation_reason": text}
	create := map[string]string{"product": text, "license_key": text, "expires_in_days": number}
	for member, kind := range license {
		change[member], create[member] = kind, kind
	}
	for _, test := range []struct {
		method, path string
		members      map[string]string
	}{
		{"POST", licenses, create},
		{"PATCH", theLicenses, change},
		{"DELETE", theLicenses, map[string]string{"reason": text}},
		{"POST", theLicenses + "/devices/deactivate", map[string]string{"hardware_id": text, "reason": text}},
		{"POST", theLicenses + "/transfer", map[string]string{"from_hardware_id": text, "to_hardware_id": text}},
		{"POST", keysPath, map[string]string{"name": text, "role": text}},
		{"POST", licenses + "/bulk-create", map[string]string{"licenses": object}},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			s := s.in(t)
			for member, kind := range test.members {
				values := wrong[kind]
				if test.method == "PATCH" && member != "expires_at" {
					values = append(slices.Clone(values), `null`)
				}
				for _, value := range values {
					res := s.call(ownerKey, test.method, test.path, `{"`+member+`":`+value+`}`, nil)
					var e struct {
						Details struct{ Fields map[string]string }
					}
					if err := json.Unmarshal(res.body, &e); err != nil || res.status != 400 || len(e.Details.Fields) == 0 {
						t.Errorf("%s = %.40s: %d %s", member, value, res.status, res.body)
					}
				}
			}
		})
	}
	for _, bad := range []string{"soon", "2026-13-01", "0000-01-01T00:00:00Z", "2026-01-01 10:00:00", "2026-01-01T10:00:00", ""} {
		s.call(ownerKey, "PATCH", theLicenses, map[string]string{"expires_at": bad}, nil).fails(400, errcode.ValidationError)
	}
	for _, path := range []string{theLicenses, licenses + "/no-uuid"} {
		res := s.call(ownerKey, "DELETE", path, `{"reason":"`+strings.Repeat("ä", 256)+`"}`, nil)
		res.fails(400, errcode.ValidationError)
		if !strings.Contains(string(res.body), `"reason":"must`) {
			t.Errorf("the reason is not named: %s", res.body)
		}
	}
	twice := func(req *http.Request) { req.Header["If-Match"] = []string{"*", `"3"`} }
	s.call(ownerKey, "PATCH", theLicenses, `{}`, twice).fails(400, errcode.ValidationError) // L3
	s.call(ownerKey, "DELETE", theLicenses, nil, twice).fails(400, errcode.ValidationError)
	for _, bad := range []string{"", " ", "3", `"3`, `"1", "2"`, `x"3"`} {
		s.call(ownerKey, "PATCH", theLicenses, `{}`, header("If-Match", bad)).fails(400, errcode.ValidationError)
		s.call(ownerKey, "DELETE", theLicenses, nil, header("If-Match", bad)).fails(400, errcode.ValidationError)
	}
	for _, bad := range []string{`{}`, `{"name":"a"}`, `{"role":"owner"}`, `{"name":" ","role":"owner"}`, `{"name":"a","role":"Owner"}`, `{"name":"` + strings.Repeat("ä", 256) + `","role":"owner"}`} {
		s.call(ownerKey, "POST", keysPath, bad, nil).fails(400, errcode.ValidationError)
	}
	long := strings.Repeat("ä", 256)
	for _, bad := range []string{`{}`, `{"hardware_id":""}`, `{"hardware_id":" "}`, `{"hardware_id":"` + long + `"}`, `{"hardware_id":"a","reason":"` + long + `"}`} {
		s.call(ownerKey, "POST", theLicenses+"/devices/deactivate", bad, nil).fails(400, errcode.ValidationError)
	}
	for _, bad := range []string{`{}`, `{"from_hardware_id":"a"}`, `{"to_hardware_id":"b"}`, `{"from_hardware_id":"a","to_hardware_id":"` + long + `"}`} {
		s.call(ownerKey, "POST", theLicenses+"/transfer", bad, nil).fails(400, errcode.ValidationError)
	}
	for _, bad := range []string{strings.Repeat("k", 256), "k\tk", "ü"} {
		s.call(ownerKey, "POST", licenses, `{"customer_id":"a"}`, header("Idempotency-Key", bad)).fails(400, errcode.ValidationError)
	}
	s.nobodyWasAsked()
}

func TestBadQueries(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	numbers := []string{"", "0", "-1", "1.5", "x", "1e3", "9223372036854775808", strings.Repeat("9", 400), "%00", "%ff", "1&NAME=2"}
	times := []string{"", "soon", "2026-13-01", "0000-01-01T00:00:00Z", "99999-01-01", "2026-01-01T10:00:00", "%00"}
	truths := []string{"", "1", "yes", "TRUE", "null"}
	texts := []string{"", "%00", "%ff", strings.Repeat("a", 256), "a%0ab"}
	for path, params := range map[string]map[string][]string{
		licenses: {
			"page": numbers, "per_page": append(slices.Clone(numbers), "101"), "is_active": truths, "is_test": truths, "customer_id": texts,
			"created_after": times, "created_before": times, "expires_after": times, "expires_before": times,
		},
		theLicenses + "/events": {"hours": append(slices.Clone(numbers), "8761")},
		theLicenses + "/usage":  {"days": append(slices.Clone(numbers), "367")},
		auditPath:               {"page": numbers, "per_page": append(slices.Clone(numbers), "101"), "after": times, "before": times, "actor_id": texts, "action": texts, "license_id": texts},
	} {
		t.Run(path, func(t *testing.T) {
			s := s.in(t)
			for name, values := range params {
				for _, value := range values {
					s.call(ownerKey, "GET", path+"?"+name+"="+strings.ReplaceAll(value, "NAME", name), nil, nil).fails(400, errcode.ValidationError)
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
			for _, method := range []string{"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "MADEUP"} {
				if slices.Contains(methods[op.path], method) || method == "HEAD" && slices.Contains(methods[op.path], "GET") {
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
			if !strings.Contains(op.path, licenseID) || strings.HasPrefix(op.path, keysPath) || strings.Contains(op.path, "/api-keys/") {
				return
			}
			for _, id := range []string{"1", "x", licenseID + "0", licenseID[:35], "%7B" + licenseID[2:] + "%7D", "%00", "%ff", "' OR 1=1--", strings.Repeat("a", 9000), strings.ReplaceAll(licenseID, "-", "")} {
				path := strings.Replace(op.path, licenseID, strings.ReplaceAll(id, " ", "%20"), 1)
				res := s.through(s.engine, ownerKey, op.method, path, goodBody(op.method, op.path), nil)
				res.fails(http.StatusNotFound, errcode.LicenseNotFound)
			}
			s.changesOfNothing()
		})
	}
	s.call(ownerKey, "GET", "/api/v1/admin/nothing", nil, nil).fails(http.StatusNotFound, errcode.NotFound)
	s.nobodyWasAsked()
}

// changesOfNothing fails the test when PATCH or transfer named a license to the sister that was not asked for: she sees their
// members even then, because it is hers to find what is wrong with them.
func (s *suite) changesOfNothing() {
	s.t.Helper()
	for _, call := range s.license.calls() {
		if r, ok := call.(interface{ GetLicenseId() string }); !ok || r.GetLicenseId() != uuid.Nil.String() {
			s.t.Errorf("the sister was asked %v", call)
		}
	}
}

func FuzzAnyBytesToAnyEndpoint(f *testing.F) {
	f.Add(0, []byte(`{"customer_id":"a","max_devices":5}`))
	f.Add(1, []byte(`{"licenses":[{"customer_id":"a"},7]}`))
	f.Add(2, []byte("{\"x\":\"\xff\"}"))
	for _, bad := range badBodies {
		f.Add(3, []byte(bad.body))
	}
	targets := [][2]string{
		{"POST", licenses}, {"POST", licenses + "/bulk-create"}, {"PATCH", theLicenses}, {"DELETE", theLicenses},
		{"POST", theLicenses + "/transfer"}, {"POST", theLicenses + "/devices/deactivate"}, {"POST", keysPath},
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
