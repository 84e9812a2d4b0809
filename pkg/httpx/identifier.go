package httpx

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Identifier is s as identifiers and tokens are compared: in Unicode NFC, without the blanks, line breaks, zero-width characters
// and byte order marks that files, terminals and forms leave at its ends. What is within stays.
func Identifier(s string) string {
	return norm.NFC.String(strings.TrimFunc(s, isLeftover))
}

// isLeftover tells of a character that nobody sees at the end of a text.
func isLeftover(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }
