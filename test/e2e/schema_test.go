//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// accepts reports whether the schema takes the value. Integers beyond any machine are no integers to us.
func accepts(schema *openapi3.Schema, value string) bool {
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return false
	}
	if n, ok := v.(float64); ok && (n > 1e18 || n < -1e18) {
		return false
	}
	return schema.VisitJSON(v, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation()) == nil
}

// bodySchema is the schema of the JSON body, nil without one.
func bodySchema(op operation) *openapi3.Schema {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Value.Content.Get("application/json").Schema.Value
}

// members are the members of the body by name; those of an object in it as outer.inner.
func members(op operation) map[string]*openapi3.Schema {
	all := map[string]*openapi3.Schema{}
	collect(bodySchema(op), "", func(name string, s *openapi3.Schema) { all[name] = s })
	return all
}

func collect(s *openapi3.Schema, prefix string, found func(string, *openapi3.Schema)) {
	if s == nil {
		return
	}
	for _, part := range s.AllOf {
		collect(part.Value, prefix, found)
	}
	for name, property := range s.Properties {
		found(prefix+name, property.Value)
		collect(property.Value, prefix+name+".", found)
	}
}

func required(op operation) (names []string) {
	s := bodySchema(op)
	if s == nil {
		return nil
	}
	names = slices.Clone(s.Required)
	for _, part := range s.AllOf {
		names = append(names, part.Value.Required...)
	}
	return names
}

// example is the document's own example of the body.
func example(op operation) string {
	if op.RequestBody == nil || op.RequestBody.Value.Content.Get("application/json") == nil {
		return "" // none, a form, or a file
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	value := media.Example
	for _, name := range slices.Sorted(maps.Keys(media.Examples)) {
		value = media.Examples[name].Value.Value
	}
	text, err := json.Marshal(value)
	if err != nil || value == nil {
		return "{}"
	}
	return string(text)
}

// replaced is the example with one member written as given; "" takes it out.
func replaced(op operation, name, raw string) string {
	var body map[string]json.RawMessage
	_ = json.Unmarshal([]byte(example(op)), &body) // the examples are objects
	outer, inner, nested := strings.Cut(name, ".")
	if nested {
		raw = fmt.Sprintf(`{%q:%s}`, inner, raw)
	}
	delete(body, outer)
	var text strings.Builder
	text.WriteByte('{')
	for member, value := range body {
		fmt.Fprintf(&text, "%q:%s,", member, value)
	}
	if raw == "" {
		return strings.TrimSuffix(text.String(), ",") + "}"
	}
	fmt.Fprintf(&text, "%q:%s}", outer, raw)
	return text.String()
}
