package guard

import (
	"net/http"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/token"
)

// Bearer returns the token of the header Authorization; what describes it, such as "access token". A
// credential that is missing, of another kind, or sent twice is token.ErrInvalid.
func Bearer(h http.Header, what string) (string, error) {
	const say = "send the %s once, in the header \"Authorization: Bearer <token>\""
	sent := h["Authorization"]
	switch len(sent) {
	case 0:
		return "", token.Refused("missing").WithMessagef(say, what)
	case 1:
		scheme, raw, _ := strings.Cut(sent[0], " ")
		if raw = jsonbody.Identifier(raw); raw != "" && strings.EqualFold(scheme, "Bearer") {
			return raw, nil
		}
	}
	return "", token.Refused("malformed").WithMessagef(say, what)
}
