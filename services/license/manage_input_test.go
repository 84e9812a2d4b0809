package license_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// change is a route of management that takes a body; path goes on below the licenses, {id} is a license.
type change struct{ method, path, good string }

var changes = []change{
	{"POST", "", `{"customer_id":"a"}`},
	{"POST", "/search", `{"license_key":"LIC-1"}`},
	{"POST", "/bulk-create", `{"licenses":[{"customer_id":"a"}]}`},
	{"POST", "/import", `{"licenses":[{"license_key":"GF32-XR78","customer_id":"a"}],"dry_run":false}`},
	{"PATCH", "/{id}", `{}`},
	{"DELETE", "/{id}", `{}`},
	{"POST", "/{id}/reveal-key", `{}`},
	{"POST", "/{id}/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`},
	{"POST", "/{id}/devices/deactivate", `{"hardware_id":"a"}`},
}

// untouched has a license and tells, after the test, whether anything was made or changed.
func untouched(t *testing.T) (w *world, id string) {
	w = newWorld(t, testkit.SQLite(t, license.Migrations...))
	id, _ = w.create(3, 30)
	before := w.get(id)
	t.Cleanup(func() {
		if diff := cmp.Diff(before, w.get(id)); diff != "" {
			t.Errorf("bad requests changed the license:\n%s", diff)
		}
		if _, total := w.list(nil); total != 1 {
			t.Errorf("bad requests made licenses: there are %d", total)
		}
	})
	return w, id
}

// badBodies are wrong for whatever takes a body.
var badBodies = map[string]struct {
	body   string
	header []string
	status int
	code   string
}{
	"truncated":         {`{"customer_id":"a"`, nil, 400, "VALIDATION_ERROR"},
	"no JSON":           {`hello`, nil, 400, "VALIDATION_ERROR"},
	"list":              {`[]`, nil, 400, "VALIDATION_ERROR"},
	"null":              {`null`, nil, 400, "VALIDATION_ERROR"},
	"text":              {`"x"`, nil, 400, "VALIDATION_ERROR"},
	"two objects":       {`{} {}`, nil, 400, "VALIDATION_ERROR"},
	"trailing garbage":  {`{}x`, nil, 400, "VALIDATION_ERROR"},
	"byte order mark":   {"\ufeff{}", nil, 400, "VALIDATION_ERROR"},
	"UTF-16":            {"{\x00}\x00", nil, 400, "VALIDATION_ERROR"},
	"NUL in a string":   {`{"x":"a\u0000b"}`, nil, 400, "VALIDATION_ERROR"},
	"raw NUL":           {"{\"x\":\"a\x00b\"}", nil, 400, "VALIDATION_ERROR"},
	"control character": {`{"x":"a\u001bb"}`, nil, 400, "VALIDATION_ERROR"},
	"invalid UTF-8":     {"{\"x\":\"a\xffb\"}", nil, 400, "VALIDATION_ERROR"},
	"lone surrogate":    {`{"x":"\ud800"}`, nil, 400, "VALIDATION_ERROR"},
	"deep nesting": {`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, nil, 400,
		"VALIDATION_ERROR"},
	"comment": {`{/* */}`, nil, 400, "VALIDATION_ERROR"},
	"NaN":     {`{"x":NaN}`, nil, 400, "VALIDATION_ERROR"},
	"2 MiB":   {`{"x":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "PAYLOAD_TOO_LARGE"},
	"another media type": {`customer_id=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415,
		"UNSUPPORTED_MEDIA_TYPE"},
	"compressed":          {`{}`, []string{"Content-Encoding", "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
	"duplicated and torn": {`{"x":1,"x":`, nil, 400, "VALIDATION_ERROR"},
}

func TestManageBadBodies(t *testing.T) {
	w, id := untouched(t)
	for _, to := range changes {
		for name, bad := range badBodies {
			status, code := bad.status, bad.code
			if name == "2 MiB" && (to.path == "/bulk-create" || to.path == "/import") {
				status, code = 400, "VALIDATION_ERROR" // it takes 10 MiB, but has no licenses
			}
			got := w.manage(to.method, strings.ReplaceAll(to.path, "{id}", id), bad.body, bad.header...)
			if got.status != status || got.body["error_code"] != code {
				t.Errorf("%s %s, %s: %d, want %d\n%s", to.method, to.path, name, got.status, status, got.raw)
			}
		}
	}
}

// Each member of each body, with every wrong type.
func TestManageWrongTypes(t *testing.T) {
	w, id := untouched(t)
	const (
		text   = "text"
		number = "number"
		truth  = "bool"
		list   = "list"
		object = "object"
	)
	wrong := map[string][]string{
		text: {`1`, `true`, `[]`, `{}`},
		number: {`"1"`, `1.5`, `1e400`, `2147483648`, `-2147483649`, `9223372036854775807`, `9223372036854775808`,
			strings.Repeat("9", 400), `true`, `[]`, `{}`},
		truth:  {`1`, `"true"`, `[]`, `{}`},
		list:   {`1`, `"a"`, `{}`, `[1]`, `[null]`, `[["a"]]`},
		object: {`1`, `"a"`, `[]`, `true`},
	}
	members := map[string]string{
		"customer_id": text, "max_devices": number, "max_offline_hours": number, "features": list, "is_test": truth,
		"metadata":     object,
		"license_type": text, "is_trial": truth, "offline_activation": truth, "duration_days": number,
		"duration_months": number, "starts": text,
		"timezone": text, "starts_at": text, "grace_hours": number, "maintenance_until": text,
		"device_match": text, "device_idle_minutes": number, "transfer_limit": number, "new_devices": object,
		"prevent_vm": truth,
		"networks":   object, "countries": object,
	}
	nullable := []string{
		"license_type", "max_devices", "duration_days", "duration_months", "starts_at", "expires_at",
		"maintenance_until", "device_match", "device_idle_minutes", "transfer_limit", "new_devices", "networks",
		"countries", "deactivation_reason",
	}
	update := map[string]string{"is_active": truth, "expires_at": text, "deactivation_reason": text}
	create := map[string]string{"product": text, "license_key": text, "expires_in_days": number}
	for member, kind := range members {
		update[member], create[member] = kind, kind
	}
	for _, test := range []struct {
		method, path string
		members      map[string]string
	}{
		{"POST", "", create},
		{"PATCH", "/" + id, update},
		{"DELETE", "/" + id, map[string]string{"reason": text}},
		{"POST", "/" + id + "/devices/deactivate", map[string]string{"hardware_id": text, "reason": text}},
		{"POST", "/" + id + "/transfer", map[string]string{"from_hardware_id": text, "to_hardware_id": text}},
		{"POST", "/bulk-create", map[string]string{"licenses": object}},
		{"POST", "/import", map[string]string{"licenses": object, "dry_run": truth, "existing": text}},
	} {
		for member, kind := range test.members {
			values := wrong[kind]
			if test.method == "PATCH" && !slices.Contains(nullable, member) {
				values = append(slices.Clone(values), `null`)
			}
			for _, value := range values {
				got := w.manage(test.method, test.path, `{"`+member+`":`+value+`}`)
				details, _ := got.body["details"].(map[string]any)
				if fields, _ := details["fields"].(map[string]any); got.status != 400 ||
					fields[member] == nil && fields[member+"[0]"] == nil {
					t.Errorf("%s %s: %s = %.40s: %d %s", test.method, test.path, member, value, got.status, got.raw)
				}
			}
		}
	}
}

// TestZeroDateIsNoStart: the zero date of a language would make a license usable at once.
func TestZeroDateIsNoStart(t *testing.T) {
	w, id := untouched(t)
	for _, zero := range []string{"0001-01-01T00:00:00Z", "0001-01-01", "0001-01-01T01:00:00+01:00"} {
		for path, body := range map[string]string{
			"POST /licenses":        `{"customer_id":"a","starts_at":"` + zero + `"}`,
			"PATCH /licenses/" + id: `{"starts_at":"` + zero + `"}`,
			"POST /policies":        `{"code":"pro","starts_at":"` + zero + `"}`,
		} {
			method, path, _ := strings.Cut(path, " ")
			got := w.ask(w.admin, method, "/api/v1/admin"+path, body)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if !strings.Contains(got.raw, `"starts_at":"must not be`) {
				t.Errorf("%s %s: %s", path, body, got.raw)
			}
		}
	}
}

// TestEmptyOperation: one that is empty would count at each repeat; beside what consumes nothing it is nothing, as a
// client_time is that was never set.
func TestEmptyOperation(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	created := w.manage(http.MethodPost, "", `{"customer_id":"a","counters":[{"name":"exports","limit":10}],
		"floating":{"slots":2}}`)
	w.must(created, http.StatusCreated)
	key, _ := created.body["license_key"].(string)
	w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
	with := func(members string) string { return strings.TrimSuffix(device(key, "pc"), "}") + `,` + members + `}` }
	lease := w.post("leases", with(`"entitlement":"","operation_id":""`)) // widens nothing, and takes one slot
	w.want(lease, http.StatusCreated, "")
	for _, call := range []struct{ endpoint, members, refused string }{
		{"validate", `"operation_id":"","nonce":"","client_time":"0001-01-01T00:00:00Z"`, ""},
		{"validate", `"consume":{"exports":1},"operation_id":" "`, "operation_id"},
		{"consume", `"counter":"exports","operation_id":""`, "operation_id"},
	} {
		got := w.post(call.endpoint, with(call.members))
		if call.refused == "" {
			w.want(got, http.StatusOK, "")
			continue
		}
		w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
		if !strings.Contains(got.raw, `"`+call.refused+`":"must not be empty`) {
			t.Errorf("%s %s: %s", call.endpoint, call.members, got.raw)
		}
	}
}

// TestEmptyIsNotAbsent: a name that is empty, as scripts send whose variable is not set, would widen what is asked for:
// a block of one license to one of all, a license of a policy to one without.
func TestEmptyIsNotAbsent(t *testing.T) {
	w, id := untouched(t)
	for _, test := range []struct{ path, body, member string }{
		{"/licenses", `{"customer_id":"a",%s}`, "product"},
		{"/licenses", `{"customer_id":"a",%s}`, "policy"},
		{"/licenses", `{"customer_id":"a",%s}`, "group_id"},
		{"/licenses/" + id + "/convert", `{%s}`, "policy"},
		{"/policies", `{"code":"pro",%s}`, "product"},
		{"/blocks", `{"network":"192.0.2.0/24","reason":"r",%s}`, "license_id"},
		{"/blocks", `{"network":"192.0.2.0/24","reason":"r",%s}`, "product"},
		{"/blocks", `{"network":"192.0.2.0/24","reason":"r",%s}`, "hardware_id"},
		{"/blocks", `{"hardware_id":"pc-1","reason":"r",%s}`, "network"},
	} {
		for _, empty := range []string{`""`, `" "`} {
			body := fmt.Sprintf(test.body, `"`+test.member+`":`+empty)
			got := w.ask(w.admin, http.MethodPost, "/api/v1/admin"+test.path, body)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if !strings.Contains(got.raw, `"`+test.member+`":"must not be empty; leave it out instead"`) {
				t.Errorf("POST %s %s: %s", test.path, body, got.raw)
			}
		}
	}
	row := w.manage("POST", "/import", `{"licenses":[{"license_key":"AB-12345678","customer_id":"a","policy":""},
		{"license_key":"AB-12345679","customer_id":"a","group_id":""}],"dry_run":false}`)
	if w.must(row, http.StatusMultiStatus); strings.Count(row.raw, "must not be empty") != 2 {
		t.Error(row.raw)
	}
}

func TestManageBadMembers(t *testing.T) {
	w, id := untouched(t)
	long := strings.Repeat("ä", 256)
	bad := func(method, path, body string, header ...string) answer {
		t.Helper()
		got := w.manage(method, path, body, header...)
		w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
		return got
	}
	for _, at := range []string{"soon", "2026-13-01", "0000-01-01T00:00:00Z", "2026-01-01 10:00:00",
		"2026-01-01T10:00:00", ""} {
		bad("PATCH", "/"+id, `{"expires_at":"`+at+`"}`)
	}
	for _, path := range []string{"/" + id, "/no-uuid"} {
		if got := bad("DELETE", path, `{"reason":"`+long+`"}`); !strings.Contains(got.raw, `"reason":"must`) {
			t.Errorf("the reason is not named: %s", got.raw)
		}
	}
	for _, tag := range []string{" ", "3", `"3`, `"1", 2`, `*, "2"`, ",", `x"3"`} {
		bad("PATCH", "/"+id, `{}`, "If-Match", tag)
		bad("DELETE", "/"+id, ``, "If-Match", tag)
	}
	for _, body := range []string{`{}`, `{"hardware_id":""}`, `{"hardware_id":" "}`, `{"hardware_id":"` + long + `"}`,
		`{"hardware_id":"a","reason":"` + long + `"}`} {
		bad("POST", "/"+id+"/devices/deactivate", body)
	}
	for _, body := range []string{`{}`, `{"from_hardware_id":"a"}`, `{"to_hardware_id":"b"}`,
		`{"from_hardware_id":"a","to_hardware_id":"` + long + `"}`} {
		bad("POST", "/"+id+"/transfer", body)
	}
	for _, body := range []string{``, `{}`, `{"license_key":" "}`, `{"license_key":"` + long + `"}`} {
		bad("POST", "/search", body)
	}
	for _, to := range changes {
		if to.method == "POST" && to.path != "/search" && to.path != "/{id}/reveal-key" {
			for _, key := range []string{strings.Repeat("k", 256), "k\tk", "ü"} {
				bad(to.method, strings.ReplaceAll(to.path, "{id}", id), to.good, "Idempotency-Key", key)
			}
		}
	}
}

func TestManageBadQueries(t *testing.T) {
	w, id := untouched(t)
	numbers := []string{"", "0", "-1", "1.5", "x", "1e3", "9223372036854775808", strings.Repeat("9", 400), "%00", "%ff",
		"1&NAME=2"}
	times := []string{"", "soon", "2026-13-01", "0000-01-01T00:00:00Z", "99999-01-01", "2026-01-01T10:00:00", "%00"}
	truths := []string{"", "1", "yes", "TRUE", "null"}
	texts := []string{"", "%00", "%ff", strings.Repeat("a", 256), "a%0ab"}
	for path, params := range map[string]map[string][]string{
		"": {
			"page": numbers, "per_page": append(slices.Clone(numbers), "101"), "is_active": truths, "is_test": truths,
			"customer_id": texts,
			"hardware_id": texts, "license_key": texts, "status": append(slices.Clone(texts), "broken"),
			"created_after": times, "created_before": times, "expires_after": times, "expires_before": times,
			"is_trial": truths, "metadata.order": texts, "metadata.": {"x"}, "metadata": {"x"}, "metadata.%00": {"x"},
			"metadata.a=1&metadata.b=1&metadata.c=1&metadata.d": {"1"},
		},
		"/" + id + "/events":  {"hours": append(slices.Clone(numbers), "8761")},
		"/" + id + "/devices": {"page": numbers, "per_page": append(slices.Clone(numbers), "1001")},
	} {
		for name, values := range params {
			for _, value := range values {
				w.want(w.manage("GET", path+"?"+name+"="+strings.ReplaceAll(value, "NAME", name), ""),
					http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
		w.want(w.manage("GET", path+"?%zz=1", ""), http.StatusBadRequest, "VALIDATION_ERROR")
	}
}

func TestManageUnknownLicenses(t *testing.T) {
	w, id := untouched(t)
	routes := append([]change{{"GET", "/{id}", ""}, {"GET", "/{id}/devices", ""}, {"GET", "/{id}/events", ""}},
		changes...)
	for _, bad := range []string{
		"1", "x", id + "0", id[:35], "%7B" + id[2:] + "%7D", "%00", "%ff", "'%20OR%201=1--", strings.Repeat("a", 9000),
		strings.ReplaceAll(id, "-", ""), unknown,
	} {
		for _, to := range routes {
			if strings.Contains(to.path, "{id}") {
				got := w.ask(w.front(ada), to.method, managed+strings.ReplaceAll(to.path, "{id}", bad), to.good)
				w.want(got, http.StatusNotFound, "LICENSE_NOT_FOUND")
			}
		}
	}
}

// TestIntegratorC3KnownNames: what the call does not take is refused by name, with what to do.
func TestIntegratorC3KnownNames(t *testing.T) {
	w, id := untouched(t)
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", "", `{"customer_id":"a","is_active":false}`, "PATCH or DELETE"},
		{"POST", "", `{"customer_id":"a","license_type":"trial"}`,
			"perpetual, time-limited, subscription, consumption"},
		{"POST", "", `{"customer_id":"a","status":"active"}`, "cannot be set here"},
		{"PATCH", "/" + id, `{"suspended_at":"2030-01-01"}`, "/suspend"},
		{"POST", "", `{"customer_id":"a","duration_days":0}`, "from 1 to 36500"},
		{"POST", "", `{"customer_id":"a","duration_days":1,"duration_months":1}`, "not both"},
		{"POST", "", `{"customer_id":"a","expires_in_days":1,"expires_at":"2030-01-01"}`, "not both"},
		{"PATCH", "/" + id, `{"max_devices":2147483647}`, "or null for any number"},
		{"PATCH", "/" + id, `{"timezone":"Mars/Olympus"}`, "Europe/Berlin"},
		{"PATCH", "/" + id, `{"timezone":"Local"}`, "Europe/Berlin"},
		{"PATCH", "/" + id, `{"timezone":"../../etc/passwd"}`, "Europe/Berlin"},
		{"PATCH", "/" + id, `{"starts":"now"}`, "creation, first_activation"},
		{"PATCH", "/" + id, `{"starts_at":"9999-01-01"}`, "9000"},
		{"PATCH", "/" + id, `{"grace_hours":-1}`, "from 0 to 87600"},
		{"POST", "", `{"customer_id":"a","max_activations":5}`, "max_devices"},
		{"POST", "", `{"customer_id":"a","max_device":5}`, "did you mean max_devices?"},
		{"PATCH", "/" + id, `{"license_key":"x"}`, "make another license"},
		{"PATCH", "/" + id, `{"version":3}`, "If-Match"},
		{"POST", "/" + id + "/transfer", `{"from_hardware_id":"a","to":"b","to_hardware_id":"b"}`, "is unknown"},
		{"POST", "/" + id + "/reveal-key", `{"reason":"x"}`, "is unknown"},
		{"GET", "?limit=5", ``, "per_page"},
		{"GET", "?stauts=active", ``, "did you mean status?"},
		{"GET", "?status=broken", ``, "active, in_grace, expired, not_started, suspended, inactive"},
		{"GET", "/" + id + "/events?days=1", ``, "hours"},
		{"POST", "?dry_run=1", `{"customer_id":"a"}`, "dry_run"},
	} {
		got := w.ask(w.front(ada), test.method, managed+test.path, test.body)
		w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
		if !strings.Contains(got.raw, test.says) {
			t.Errorf("%s %s %s: %s", test.method, test.path, test.body, got.raw)
		}
	}
}

func FuzzAnyBytesToManagement(f *testing.F) {
	f.Add(0, []byte(`{"customer_id":"a","max_devices":5}`))
	f.Add(2, []byte(`{"licenses":[{"customer_id":"a"},7]}`))
	f.Add(6, []byte("{\"x\":\"\xff\"}"))
	for _, bad := range badBodies {
		f.Add(3, []byte(bad.body))
	}
	front := newWorld(f, testkit.SQLite(f, license.Migrations...)).front(ada)
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		to := changes[((which%len(changes))+len(changes))%len(changes)]
		rec := httptest.NewRecorder()
		front.ServeHTTP(rec, httptest.NewRequest(to.method, managed+strings.ReplaceAll(to.path, "{id}", unknown),
			bytes.NewReader(body)))
		if rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %s: %d %s", to.method, to.path, rec.Code, rec.Body)
		}
	})
}
