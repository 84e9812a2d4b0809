// Package openapitest holds an OpenAPI document against the service that it describes: the routes against the paths,
// and every answer that tests see against the schemas.
//
//	engine := newRouter(...)                                    // the service's gin engine
//	openapitest.Check(t, openapi.Auth, engine.Routes())         // once per service
//	server := openapitest.Wrap(t, openapi.Auth, engine)         // in the helper that all API tests share
//	server.ServeHTTP(recorder, request)                         // fails t when the answer is not as documented
package openapitest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/gin-gonic/gin"
)

// optional are the routes that every service has beside its API; a document may name them or not.
var optional = regexp.MustCompile(`^[A-Z]+ /(healthz|readyz|metrics|openapi\.json|version|docs(/.*)?)$`)

var parameter = regexp.MustCompile(`[:*]([A-Za-z_]+)`)

// Check demands that doc is a valid OpenAPI document whose examples fit its schemas, that every operation has a
// summary, an operationId and an error answer, one that takes an Idempotency-Key also the refusals of that, and that
// its operations are exactly the given routes. A parameter has the same name in both.
func Check(t testing.TB, doc []byte, routes gin.RoutesInfo) {
	t.Helper()
	d := load(t, doc)
	documented := operations(d)
	for name, op := range documented {
		if op.Summary == "" || op.OperationID == "" {
			t.Errorf("%s: the operation needs a summary and an operationId", name)
		}
		if !optional.MatchString(name) && !hasError(op) {
			t.Errorf("%s: the operation names no error answer", name)
		}
		if sharesIdempotencyKeys(op) && (op.Responses.Value("409") == nil || op.Responses.Value("422") == nil) {
			t.Errorf("%s: the operation takes an Idempotency-Key and lacks its refusals, 409 and 422", name)
		}
	}
	routed := map[string]bool{}
	for _, r := range routes {
		name := r.Method + " " + parameter.ReplaceAllString(r.Path, "{$1}")
		routed[name] = true
		if documented[name] == nil && !optional.MatchString(name) {
			t.Errorf("%s: the router has it, the document does not", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !routed[name] {
			t.Errorf("%s: the document has it, the router does not", name)
		}
	}
}

// Wrap returns a handler that answers as h does and fails t when an answer is not as documented: status, headers that
// the document requires, content type and body. Where the answer is a 2xx, the request must be as documented too, and
// where it is replayed, the operation must take an Idempotency-Key. For a path or method that the document does not
// know, the answer must be its schema Error with 404 or 405.
func Wrap(t testing.TB, doc []byte, h http.Handler) http.Handler {
	t.Helper()
	v := newValidator(t, doc)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Helper()
		body := readAll(t, r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		v.validate(t, withBody(r, body), rec.Code, rec.Header(), rec.Body.Bytes())
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		if rec.Body.Len() == 0 {
			return // a 304 may not even be followed by nothing
		}
		if _, err := w.Write(rec.Body.Bytes()); err != nil {
			t.Errorf("write the answer on: %v", err)
		}
	})
}

// Validate is the check of Wrap for one answer that came over the network. The bodies of both can be read again
// afterwards; that of the request is taken from GetBody.
func Validate(t testing.TB, doc []byte, req *http.Request, resp *http.Response) {
	t.Helper()
	var sent []byte
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			t.Fatalf("read the request again: %v", err)
		}
		sent = readAll(t, body)
	}
	got := readAll(t, resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(got))
	newValidator(t, doc).validate(t, withBody(req, sent), resp.StatusCode, resp.Header, got)
}

func load(t testing.TB, doc []byte) *openapi3.T {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatalf("load the OpenAPI document: %v", err)
	}
	d.Servers = nil // tests listen elsewhere
	if err := d.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatalf("the OpenAPI document is not valid: %v", err)
	}
	return d
}

func operations(d *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for path, item := range d.Paths.Map() {
		for method, op := range item.Operations() {
			all[method+" "+path] = op
		}
	}
	return all
}

func hasError(op *openapi3.Operation) bool {
	for status := range op.Responses.Map() {
		if status == "default" || strings.HasPrefix(status, "4") || strings.HasPrefix(status, "5") {
			return true
		}
	}
	return false
}

func takesIdempotencyKey(op *openapi3.Operation) bool {
	return op.Parameters.GetByInAndName(openapi3.ParameterInHeader, "Idempotency-Key") != nil
}

// sharesIdempotencyKeys reports whether the operation takes the key as nearly all do, by the parameter that the
// document describes once. What takes it otherwise tells so itself.
func sharesIdempotencyKeys(op *openapi3.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool {
		return p.Ref != "" && p.Value.Name == "Idempotency-Key"
	})
}

// validator is a document with the router over its paths.
type validator struct {
	router  routers.Router
	schemas *schemas
}

// validators are kept by document: most tests of a package make their own service and describe it by the same one,
// and reading it takes longer than many of these tests.
var validators sync.Map // of string to *validator

func newValidator(t testing.TB, doc []byte) *validator {
	t.Helper()
	if v, ok := validators.Load(string(doc)); ok {
		return v.(*validator)
	}
	d := load(t, doc)
	router, err := legacy.NewRouter(d)
	if err != nil {
		t.Fatalf("route the OpenAPI document: %v", err)
	}
	compiled, err := newSchemas(d)
	if err != nil {
		t.Fatalf("read the schemas of the OpenAPI document: %v", err)
	}
	v, _ := validators.LoadOrStore(string(doc), &validator{router: router, schemas: compiled})
	return v.(*validator)
}

func (v *validator) validate(t testing.TB, req *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	route, params, err := v.router.FindRoute(req)
	name := req.Method + " " + req.URL.Path
	if err != nil {
		if !optional.MatchString(name) {
			v.validateUnknown(t, name, status, body)
		}
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request:    req,
		PathParams: params,
		Route:      route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true,
			ExcludeRequestBody:    true,
			ExcludeResponseBody:   true,
		},
	}
	if status < 300 {
		err := errors.Join(openapi3filter.ValidateRequest(req.Context(), input),
			v.schemas.request(route, req.Header, readAll(t, req.Body)))
		if err != nil {
			t.Errorf("%s was answered %d, but the request is not as documented: %v", name, status, err)
		}
	}
	if header.Get("Idempotency-Replayed") != "" && !takesIdempotencyKey(route.Operation) {
		t.Errorf("%s: the answer is replayed, but the operation takes no Idempotency-Key", name)
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 status,
		Header:                 header,
		Options:                input.Options,
	}
	err = errors.Join(openapi3filter.ValidateResponse(req.Context(), answer),
		v.schemas.response(route, status, header, body))
	if err != nil {
		t.Errorf("%s: the answer %d is not as documented: %v\n%s", name, status, err, body)
	}
}

func (v *validator) validateUnknown(t testing.TB, name string, status int, body []byte) {
	t.Helper()
	if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		t.Errorf("%s is not in the document, but was answered %d", name, status)
		return
	}
	schema, err := v.schemas.at("/components/schemas/Error")
	if err != nil {
		t.Fatalf("the OpenAPI document has no schema Error: %v", err)
	}
	value, err := decode(body)
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: the answer %d is not the schema Error: %v\n%s", name, status, err, body)
	}
}
