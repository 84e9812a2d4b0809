package httpx

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
)

// Credential is what the only header of this name says, trimmed as jsonbody.Identifier does. One that is sent twice is
// none: two readers might choose differently. name is in its canonical form.
func Credential(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return jsonbody.Identifier(values[0])
	}
	return ""
}

// UUID is s in lower case where it is a UUID of 36 characters, and "" otherwise; uuid.Parse alone would also take
// braces and URNs.
func UUID(s string) (id string, ok bool) {
	parsed, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return "", false
	}
	return parsed.String(), true
}
