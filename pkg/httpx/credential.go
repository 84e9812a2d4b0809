package httpx

import (
	"net/http"

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
