//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestBadInput sends every operation of the four documents what it must refuse: a documented error, never a 5xx, and
// nothing is written.
func TestBadInput(t *testing.T) {
	each(t, func(w *harness) {
		b := newAttacker(w)
		before := b.state()
		for _, op := range b.operations() {
			w.Run(op.OperationID, func(t *testing.T) {
				b := b.as(t)
				b.credentials(op)
				b.methods(op)
				b.ids(op)
				b.queries(op)
				b.headers(op)
				b.bodies(op)
				b.members(op)
			})
		}
		if after := b.state(); after != before {
			w.Errorf("refused requests left traces:\nbefore %s\nafter  %s", before, after)
		}
	})
}

// TestBulkRowsStandAlone: rows with wrong types or text fail by themselves.
func TestBulkRowsStandAlone(t *testing.T) {
	each(t, func(w *harness) {
		// A control character that is not escaped is no JSON at all, so no row can be told from the next.
		w.want(w.admin(http.MethodPost, "/licenses/bulk-create", "{\"licenses\":[{\"customer_id\":\"a\x01\"}]}"),
			http.StatusBadRequest, "VALIDATION_ERROR")
		rows := []string{
			`7`, `null`, `[]`, `"x"`, `{}`, `{"customer_id":null}`, `{"customer_id":"a","max_devices":"5"}`,
			`{"customer_id":"a","max_devices":99999999999999999999}`,
			`{"customer_id":"a","max_devices":-1}`,
			`{"customer_id":"a","metadata":[]}`, `{"customer_id":"a","features":[null]}`,
			strings.Repeat("[", 40) + strings.Repeat("]", 40),
			`{"customer_id":"a","metadata":{"n":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`,
			`{"customer_id":"a\u0000"}`, `{"customer_id":"\ud800"}`, `{"customer_id":"a","metadata":{"n":1e400}}`,
			"{\"customer_id\":\"\xff\"}",
		}
		a := w.want(w.admin(http.MethodPost, "/licenses/bulk-create", `{"licenses":[`+strings.Join(rows, ",")+`]}`),
			http.StatusMultiStatus, "")
		if a.body["created_count"] != 0.0 || a.body["failed_count"] != float64(len(rows)) {
			w.Errorf("rows that must all fail: %s", a.raw)
		}
		for i, f := range a.body["failed"].([]any) {
			row := f.(map[string]any)
			if row["index"] != float64(i) || row["error_code"] != "VALIDATION_ERROR" {
				w.Errorf("row %s: %v", rows[i], row)
			}
		}
	})
}

var pathParameter = regexp.MustCompile(`\{\w+\}`)

const unknownID = "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11"

// TestTheLargestAnswers: what one request may create, answers show: nothing grows on its way into JSON, and no answer
// is too large for the gateway.
func TestTheLargestAnswers(t *testing.T) {
	each(t, func(w *harness) {
		rows := make([]string, 100)
		for i := range rows {
			rows[i] = `{"customer_id":"largest","metadata":{"a":"` + strings.Repeat("<", 65_000) + `"}}`
		}
		body := `{"licenses":[` + strings.Join(rows, ",") + `]}`
		a := w.want(w.admin(http.MethodPost, "/licenses/bulk-create", body), http.StatusCreated, "")
		if a.body["created_count"] != 100.0 || len(a.raw) > len(body)+100_000 {
			w.Errorf("%v were created, the answer has %d bytes", a.body["created_count"], len(a.raw))
		}
		list := w.want(w.admin(http.MethodGet, "/licenses?customer_id=largest&per_page=100", ""), http.StatusOK, "")
		if shown, _ := list.body["licenses"].([]any); len(shown) != 100 {
			w.Errorf("%d licenses are shown", len(shown))
		}
	})
}

// invalidCredential is the error code of a wrong credential, by its header.
var invalidCredential = map[string]string{
	"X-API-Key": "INVALID_API_KEY", "X-Admin-API-Key": "INVALID_ADMIN_KEY", "X-Admin-Secret": "INVALID_ADMIN_SECRET",
	"Authorization": "INVALID_TOKEN",
}

// credentials sends the example with no credential, wrong ones, and those of another kind.
func (b *attacker) credentials(op operation) {
	if op.header == "" {
		return
	}
	body, code := example(op), invalidCredential[op.header]
	wrong := map[string]string{
		"empty": "", "garbage": "garbage", "blank": " ", "long": strings.Repeat("x", 10_000),
		"cut":    b.good[op.header][:len(b.good[op.header])-1],
		"longer": b.good[op.header] + "x", "quoted": "' OR 1=1 --", "bytes": "\xff\xfe",
	}
	for kind, value := range b.others {
		if kind != op.header {
			wrong["of another kind, "+kind] = value
		}
	}
	refuse := func(what string, headers ...string) {
		b.Helper()
		a := b.call(op.method, b.at(op, b.victim), body, headers...)
		b.refused(op, what, a, http.StatusUnauthorized)
		if a.code() != code {
			b.Errorf("%s: %s, want %s", what, a.code(), code)
		}
	}
	refuse("no credential")
	for what, value := range wrong {
		refuse("credential "+what, op.header, op.prefix+value)
	}
	for header, value := range b.good {
		if header != op.header {
			refuse("credential in "+header, header, value)
		}
	}
	if op.prefix != "" {
		refuse("no scheme", op.header, b.good[op.header])
		refuse("other scheme", op.header, "Basic "+b.good[op.header])
	}
}

// methods sends what the path does not take.
func (b *attacker) methods(op operation) {
	known := op.item.Operations()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
		if known[method] != nil {
			continue
		}
		a := b.call(method, b.at(op, b.victim), "{}", b.credential(op)...)
		b.refused(operation{}, method, a, http.StatusMethodNotAllowed)
		allowed := strings.Split(a.header.Get("Allow"), ", ")
		slices.Sort(allowed)
		if want := slices.Sorted(maps.Keys(known)); !a.isOfDialect() && a.code() != "METHOD_NOT_ALLOWED" ||
			!slices.Equal(allowed, want) {
			b.Errorf("%s: %s, Allow %q, want %q", method, a.code(), allowed, want)
		}
	}
	b.refused(operation{}, "below the path", b.send(op, b.at(op, b.victim)+"/nothing/here", ""), http.StatusNotFound,
		http.StatusMethodNotAllowed)
}

// byLeaseToken holds for the operations whose credential is the token of the lease that the path names.
func byLeaseToken(op operation) bool {
	return op.OperationID == "renewLease" || op.OperationID == "releaseLease"
}

// ids sends ids of nothing, in the path and in the body.
func (b *attacker) ids(op operation) {
	ids := []string{unknownID, "not-a-uuid", "0", "-1", "%00", "%ff", "%F0%9F%94%91", "..%2f..%2fkeys",
		strings.Repeat("x", 5000), strings.ToUpper(unknownID), "'%20OR%201=1"}
	if byLeaseToken(op) {
		return // without the token of the lease nobody learns whether it exists
	}
	if op.OperationID == "putCustomer" {
		return // any text is the id of a customer to be made
	}
	if pathParameter.MatchString(op.path) {
		want := []int{http.StatusNotFound}
		if op.method == http.MethodPut {
			want = append(want, http.StatusBadRequest) // the path names what is to be made
		}
		for _, id := range ids {
			if strings.Contains(op.path, "{customer_id}") && id == unknownID {
				continue // any text is the id of a customer, so another attack has made this one
			}
			b.refused(op, "id "+id, b.send(op, b.at(op, id), example(op)), want...)
		}
		return
	}
	for _, member := range []string{"license_id", "license_key"} {
		if !slices.Contains(required(op), member) || op.OperationID == "searchLicenses" { // which finds nothing instead
			continue
		}
		for _, id := range []string{unknownID, "not-a-uuid", "0", "' OR 1=1", "LIC-ZZZZZZZZZZZZ"} {
			b.refused(op, member+" "+id, b.send(op, b.at(op, b.victim), replaced(op, member, fmt.Sprintf("%q", id))),
				http.StatusNotFound)
		}
	}
}

// queries sends parameters that the document's schemas refuse.
func (b *attacker) queries(op operation) {
	for _, p := range op.Parameters {
		if p.Value.In != "query" {
			continue
		}
		schema := p.Value.Schema.Value
		values := []string{"%00", "%ff", "a%0Ab", strings.Repeat("x", 5000)}
		switch {
		case schema.Type.Includes("integer"):
			values = append(values, "x", "1.5", "-1", "99999999999999999999", "1e3", "0x10", "%2010")
		case schema.Type.Includes("boolean"):
			values = append(values, "maybe", "2", "TRUEISH")
		case schema.Enum != nil:
			values = append(values, "nothing")
		case schema.Format == "uuid":
			continue // an id of nothing may be answered with nothing
		}
		for _, value := range values {
			a := b.send(op, b.at(op, b.victim)+"?"+p.Value.Name+"="+value, example(op))
			b.refused(op, fmt.Sprintf("?%s=%.40s", p.Value.Name, value), a, http.StatusBadRequest)
		}
	}
}

// headers sends an Idempotency-Key that is none, and looks at request ids.
func (b *attacker) headers(op operation) {
	for _, p := range op.Parameters {
		if p.Value.In != "header" || p.Value.Name != "Idempotency-Key" || byLeaseToken(op) {
			continue
		}
		for _, key := range []string{strings.Repeat("k", 256), "\xff", "a\tb"} {
			b.refused(op, "Idempotency-Key", b.send(op, b.at(op, b.victim), example(op), "Idempotency-Key", key),
				http.StatusBadRequest)
		}
	}
	for id, kept := range map[string]bool{
		"my-Request_1.2":         true,
		"with blank":             false,
		strings.Repeat("r", 129): false,
		"\xff":                   false,
		"<script>":               false,
	} {
		a := b.call("BREW", b.at(op, b.victim), "", "X-Request-ID", id)
		if got := a.header.Get("X-Request-ID"); got == "" || (got == id) != kept {
			b.Errorf("X-Request-ID %q was answered with %q", id, got)
		}
	}
}

// bodies sends what is no acceptable body as a whole.
func (b *attacker) bodies(op operation) {
	if op.RequestBody == nil {
		return
	}
	limit := op.maxBody()
	bad := map[string]string{
		"malformed": `{"a":`, "not JSON": `hello`, "array": `[]`, "null": `null`, "number": `7`, "text": `"x"`,
		"true":          `true`,
		"trailing data": example(op) + `{}`, "trailing comma": `{"a":1,}`, "single quotes": `{'a':1}`,
		"comment": `{/**/}`,
		"NUL":     "\x00", "NUL in text": `{"a":"\u0000"}`, "raw NUL": "{\"a\":\"\x00\"}",
		"control character": "{\"a\":\"\x01\"}",
		"invalid UTF-8":     "{\"a\":\"\xff\"}", "invalid UTF-8 in a name": "{\"\xff\":1}",
		"lone surrogate": `{"a":"\ud800"}`, "lone low surrogate": `{"\udc00":1}`,
		"deep object": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
		"deep array":  `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		"UTF-16":      "\xff\xfe{\x00}\x00",
	}
	if op.RequestBody.Value.Required {
		bad["empty"], bad["blank"] = "", " \n"
	}
	for what, body := range bad {
		b.refused(op, "body "+what, b.send(op, b.at(op, b.victim), body), op.badBody(body))
	}
	b.refused(op, "body too large", b.send(op, b.at(op, b.victim), `{"a":"`+strings.Repeat("x", limit+1<<20)+`"}`),
		http.StatusRequestEntityTooLarge)
	b.refused(op, "body too large, length unknown", b.chunked(op, limit+1<<20), http.StatusRequestEntityTooLarge)
	for _, contentType := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded",
		"application/jsonp", "nonsense"} {
		b.refused(op, contentType, b.send(op, b.at(op, b.victim), example(op), "Content-Type", contentType),
			http.StatusUnsupportedMediaType)
	}
}

// chunked sends a large body without its length.
func (b *attacker) chunked(op operation, n int) answer {
	b.Helper()
	body := io.MultiReader(strings.NewReader(`{"a":"`), io.LimitReader(endless{}, int64(n)), strings.NewReader(`"}`))
	req, err := http.NewRequest(op.method, b.at(op, b.victim), body)
	if err != nil {
		b.Fatal(err)
	}
	if op.header != "" {
		req.Header.Set(op.header, op.prefix+b.good[op.header])
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.raw, _ = io.ReadAll(resp.Body)   // a part of it is no error, and seen so
	_ = json.Unmarshal(a.raw, &a.body) // likewise
	return a
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// members replaces every member of the example, one at a time, by everything that its schema refuses.
func (b *attacker) members(op operation) {
	schemas := members(op)
	values := []string{
		`null`, `true`, `0`, `-1`, `1.5`, `7`, `99999999999999999999`, `-99999999999999999999`, `""`, `"x"`, `"7"`,
		`[]`, `{}`, `[1]`, `[null]`, `[{}]`, `[""]`, `{"":1}`,
		`"` + strings.Repeat("x", 300) + `"`, `["` + strings.Repeat("x", 300) + `"]`,
		`[` + strings.Repeat(`"x",`, 10_000) + `"x"]`, `"not a time"`, `"2026-13-45"`,
	}
	never := []string{`1e400`, `-1e400`, `"\u0000"`, `"a\u0001"`, `"\ud800"`, "\"\xff\"",
		`"` + strings.Repeat("x", 70_000) + `"`, `NaN`, `01`, strings.Repeat("[", 40) + strings.Repeat("]", 40)}
	for name, schema := range schemas {
		for _, value := range values {
			if accepts(schema, value) {
				continue
			}
			body := replaced(op, name, value)
			urls := slices.Compact([]string{b.at(op, b.victim), b.at(op, unknownID)}) // 400 comes before 404
			for _, url := range urls {
				b.refused(op, fmt.Sprintf("%s = %.40s", name, value), b.send(op, url, body), op.badBody(body))
			}
		}
		for _, value := range never {
			rows := []string{"bulkCreateLicenses", "importLicenses", "importSlaves"}
			if slices.Contains(rows, op.OperationID) && strings.HasPrefix(value, "[[") {
				continue // rows, which fail alone: TestBulkRowsStandAlone
			}
			// long ones are tokens, only no good ones
			if name != "token" && name != "refresh_token" || !strings.Contains(value, "xxx") {
				body := replaced(op, name, value)
				b.refused(op, fmt.Sprintf("%s = %.40s", name, value), b.send(op, b.at(op, b.victim), body),
					op.badBody(body))
			}
		}
	}
	for _, name := range required(op) {
		b.refused(op, "without "+name, b.send(op, b.at(op, b.victim), replaced(op, name, "")), http.StatusBadRequest)
	}
}
