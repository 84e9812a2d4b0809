package openapitest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var pathParameter = regexp.MustCompile(`\{\w+\}`)

// Spellings are what an id is sent as that is not ours to keep: in other notations, and as text that is none.
func Spellings(id string) []string {
	return []string{
		strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""),
		id + "\x00", "\xff", "\xed\xa0\x80",
	}
}

// Spell sends every operation of doc the Spellings of id: in place of each parameter of its path and query, in forged
// cursors, and in each member that is called an id. No answer may be a 5xx. credentials are those of the requests.
func Spell(t testing.TB, doc []byte, id string, h http.Handler, credentials http.Header) {
	t.Helper()
	s := speller{t: t, id: id, handler: h, credentials: credentials}
	for path, item := range load(t, doc).Paths.Map() {
		for method, op := range item.Operations() {
			s.paths(method, path)
			for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
				if p.Value.In == openapi3.ParameterInQuery {
					s.query(path, p.Value.Name)
				}
			}
			s.members(method, path, op)
		}
	}
	if s.calls < 10 {
		t.Errorf("only %d calls", s.calls)
	}
}

type speller struct {
	t           testing.TB
	id          string
	handler     http.Handler
	credentials http.Header
	calls       int
}

func (s *speller) fill(path string) string { return pathParameter.ReplaceAllLiteralString(path, s.id) }

func (s *speller) send(method, target, body string) {
	s.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	maps.Copy(req.Header, s.credentials)
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	if s.calls++; rec.Code >= http.StatusInternalServerError {
		s.t.Errorf("%s %s %.200s: %d %.200s", method, target, body, rec.Code, rec.Body)
	}
}

func (s *speller) paths(method, path string) {
	for _, place := range pathParameter.FindAllString(path, -1) {
		for _, odd := range Spellings(s.id) {
			s.send(method, s.fill(strings.Replace(path, place, url.PathEscape(odd), 1)), "{}")
		}
	}
}

func (s *speller) query(path, name string) {
	for _, odd := range Spellings(s.id) {
		for _, value := range []string{odd, base64.RawURLEncoding.EncodeToString([]byte("z2kfxe8x8z " + odd)),
			base64.RawURLEncoding.EncodeToString([]byte("2026-01-02T03:04:05Z|" + odd))} {
			s.send(http.MethodGet, s.fill(path)+"?"+url.Values{name: {value}}.Encode(), "")
		}
	}
}

// members sends the example of an operation with an odd id in it.
func (s *speller) members(method, path string, op *openapi3.Operation) {
	if op.RequestBody == nil || op.RequestBody.Value.Content.Get("application/json") == nil {
		return
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	example, _ := media.Example.(map[string]any)
	for _, e := range media.Examples {
		example, _ = e.Value.Value.(map[string]any)
	}
	for name, schema := range media.Schema.Value.Properties {
		many := strings.HasSuffix(name, "_ids")
		if !many && !strings.HasSuffix(name, "_id") {
			continue
		}
		for _, odd := range Spellings(s.id) {
			body := maps.Clone(example)
			if body == nil {
				body = map[string]any{}
			}
			if body[name] = odd; many || schema.Value.Type.Includes(openapi3.TypeArray) {
				body[name] = []string{odd}
			}
			raw, err := json.Marshal(body)
			if err != nil {
				s.t.Fatal(err)
			}
			s.send(method, s.fill(path), string(raw))
		}
	}
}
