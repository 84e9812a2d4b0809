package openapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are those of a document, compiled once each. kin-openapi compiles the schema of a body for every body, which
// was a quarter of what the tests of a service cost.
type schemas struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by JSON pointer
}

const documentURL = "https://latchkey.example/openapi.json"

func newSchemas(d *openapi3.T) (*schemas, error) {
	document, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	return &schemas{compiler: c, compiled: map[string]*jsonschema.Schema{}}, c.AddResource(documentURL, value)
}

// at is the schema at a JSON pointer into the document.
func (s *schemas) at(pointer string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema := s.compiled[pointer]; schema != nil {
		return schema, nil
	}
	schema, err := s.compiler.Compile(documentURL + (&url.URL{Fragment: pointer}).String())
	if err == nil {
		s.compiled[pointer] = schema
	}
	return schema, err
}

// request checks the body of a request.
func (s *schemas) request(route *routers.Route, header http.Header, body []byte) error {
	described := route.Operation.RequestBody
	if described == nil || len(body) == 0 && !described.Value.Required {
		return nil
	}
	return s.body(described.Value.Content, within(route, described.Ref, "requestBody"), header, body)
}

// response checks the body of an answer whose status the document has.
func (s *schemas) response(route *routers.Route, status int, header http.Header, body []byte) error {
	name, described := fmt.Sprint(status), route.Operation.Responses.Status(status)
	if described == nil {
		name, described = "default", route.Operation.Responses.Default()
	}
	if described == nil {
		return errors.New("status is not supported")
	}
	if len(described.Value.Content) == 0 {
		return nil
	}
	return s.body(described.Value.Content, within(route, described.Ref, "responses", name), header, body)
}

// body checks one that the document describes by content, at a JSON pointer.
func (s *schemas) body(content openapi3.Content, pointer string, header http.Header, body []byte) error {
	contentType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the content type %q cannot be read", header.Get("Content-Type"))
	}
	media := content[contentType]
	if media == nil {
		return fmt.Errorf("the content type %s is not documented", contentType)
	}
	if media.Schema == nil || contentType != "application/json" {
		return nil
	}
	schema, err := s.at(pointer + "/content/" + escape(contentType) + "/schema")
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return schema.Validate(value)
}

// within is the JSON pointer of a part of an operation, or of what it refers to.
func within(route *routers.Route, ref string, names ...string) string {
	if ref != "" {
		return strings.TrimPrefix(ref, "#")
	}
	pointer := "/paths/" + escape(route.Path) + "/" + strings.ToLower(route.Method)
	for _, name := range names {
		pointer += "/" + escape(name)
	}
	return pointer
}

// escape is RFC 6901, section 3.
func escape(token string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(token) }
