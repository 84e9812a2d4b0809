package httpx

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// Identifier is s as identifiers and tokens are compared: in Unicode NFC, without the blanks, line breaks, zero-width characters
// and byte order marks that files, terminals and forms leave at its ends. What is within stays.
func Identifier(s string) string {
	return norm.NFC.String(strings.TrimFunc(s, isLeftover))
}

// Credential is what the only header of this name says, trimmed as Identifier does. One that is sent twice is none: two readers
// might choose differently. name is in its canonical form.
func Credential(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return strings.TrimFunc(values[0], isLeftover)
	}
	return ""
}

// isLeftover tells of a character that nobody sees at the end of a text.
func isLeftover(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// UUID is s in lower case where it is a UUID of 36 characters, and "" otherwise; uuid.Parse alone would also take braces
// and URNs.
func UUID(s string) (id string, ok bool) {
	parsed, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return "", false
	}
	return parsed.String(), true
}
