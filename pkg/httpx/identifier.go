package httpx

import (
	"net/http"
	"strings"
	"unicode"

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
