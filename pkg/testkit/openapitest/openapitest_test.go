package openapitest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
)

const document = `
openapi: 3.1.0
info: {title: test, version: "1"}
paths:
  /things/{id}:
    post:
      operationId: createThing
      summary: Create a thing.
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      requestBody:
        content:
          application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}
      responses:
        "200":
          description: Done.
          content:
            application/json:
              schema:
                {type: object, required: [at], properties: {at: {type: [integer, "null"]}}, additionalProperties: false}
        "400":
          description: Wrong.
          content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}
components:
  schemas:
    Error: {type: object, required: [error], properties: {error: {type: string}}}
`

// spy notes failures instead of failing.
type spy struct {
	testing.TB
	failures []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *spy) want(t *testing.T, part string) {
	t.Helper()
	switch {
	case part == "" && len(s.failures) > 0:
		t.Errorf("unexpected failures: %q", s.failures)
	case part != "" && !strings.Contains(strings.Join(s.failures, "\n"), part):
		t.Errorf("failures %q do not speak of %q", s.failures, part)
	}
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		routes gin.RoutesInfo
		want   string
	}{
		"agree": {gin.RoutesInfo{{Method: "POST", Path: "/things/:id"}, {Method: "GET", Path: "/healthz"},
			{Method: "GET", Path: "/docs/*file"}}, ""},
		"undocumented": {gin.RoutesInfo{{Method: "POST", Path: "/things/:id"}, {Method: "GET", Path: "/things/:id"}},
			"GET /things/{id}: the router has it"},
		"not routed": {nil, "POST /things/{id}: the document has it"},
		"other name": {gin.RoutesInfo{{Method: "POST", Path: "/things/:thing"}},
			"POST /things/{thing}: the router has it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &spy{TB: t}
			openapitest.Check(s, []byte(document), tt.routes)
			s.want(t, tt.want)
		})
	}
}

func TestIdempotencyKeysAreDocumented(t *testing.T) {
	const parameter = "components:\n  parameters: {Key: {name: Idempotency-Key, in: header, schema: {type: string}}}\n"
	takes := strings.Replace(document, "parameters: [", `parameters: [{$ref: "#/components/parameters/Key"}, `, 1)
	takes = strings.Replace(takes, "components:\n", parameter, 1)
	whole := strings.Replace(takes, "        \"400\":\n",
		"        \"409\": {description: Wrong.}\n        \"422\": {description: Wrong.}\n        \"400\":\n", 1)
	for document, want := range map[string]string{takes: "lacks its refusals", whole: ""} {
		s := &spy{TB: t}
		openapitest.Check(s, []byte(document), gin.RoutesInfo{{Method: "POST", Path: "/things/:id"}})
		s.want(t, want)
	}
	for document, want := range map[string]string{document: "takes no Idempotency-Key", whole: ""} {
		s := &spy{TB: t}
		h := openapitest.Wrap(s, []byte(document), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Idempotency-Replayed", "true")
			_, _ = w.Write([]byte(`{"at": 1}`))
		}))
		h.ServeHTTP(httptest.NewRecorder(),
			httptest.NewRequest("POST", "/things/1", strings.NewReader(`{"name": "a"}`)))
		s.want(t, want)
	}
}

func TestWrap(t *testing.T) {
	for name, tt := range map[string]struct {
		path, send   string
		status       int
		answer, want string
	}{
		"as documented":  {"/things/1", `{"name": "a"}`, 200, `{"at": null}`, ""},
		"missing member": {"/things/1", `{"name": "a"}`, 200, `{}`, "the answer 200 is not as documented"},
		"more members": {"/things/1", `{"name": "a"}`, 200, `{"at": 1, "x": 1}`,
			"the answer 200 is not as documented"},
		"wrong type": {"/things/1", `{"name": "a"}`, 200, `{"at": "now"}`,
			"the answer 200 is not as documented"},
		"unknown status": {"/things/1", `{"name": "a"}`, 409, `{"error": "x"}`,
			"the answer 409 is not as documented"},
		"error":                {"/things/1", `{`, 400, `{"error": "x"}`, ""},
		"request not as told":  {"/things/1", `{"name": 5}`, 200, `{"at": 1}`, "the request is not as documented"},
		"unknown path":         {"/nothing", ``, 404, `{"error": "x"}`, ""},
		"unknown path, shape":  {"/nothing", ``, 404, `{"message": "x"}`, "is not the schema Error"},
		"unknown path, status": {"/nothing", ``, 200, `{}`, "is not in the document, but was answered 200"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &spy{TB: t}
			h := openapitest.Wrap(s, []byte(document), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.answer))
			}))
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("POST", tt.path, strings.NewReader(tt.send)))
			if rec.Code != tt.status || rec.Body.String() != tt.answer {
				t.Errorf("passed on %d %s", rec.Code, rec.Body)
			}
			s.want(t, tt.want)
		})
	}
}

func TestValidateOverTheNetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/things/1",
		strings.NewReader(`{"name": "a"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	s := &spy{TB: t}
	openapitest.Validate(s, []byte(document), req, resp)
	s.want(t, "the answer 200 is not as documented")
}
