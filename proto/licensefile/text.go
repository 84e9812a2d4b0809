package licensefile

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Identifier is s as the server keeps and compares identifiers, hardware ids among them: in Unicode NFC, without the
// blanks, line breaks, zero-width characters and byte order marks that files, terminals and forms leave at its ends.
// What is within stays, and so does case.
func Identifier(s string) string { return norm.NFC.String(Trim(s)) }

// Trim takes off what forms, files and terminals leave at the ends of a text.
func Trim(s string) string { return strings.TrimFunc(s, IsUnseen) }

// IsUnseen tells of blanks, line breaks, and format characters such as zero-width spaces and byte order marks.
func IsUnseen(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// Keys of our own format are KeyPrefix and KeySymbols symbols of KeyAlphabet.
const (
	KeyPrefix  = "LIC-"
	KeySymbols = 12
	// KeyAlphabet is Douglas Crockford's base 32 (crockford.com/base32.html): no I, L, O or U.
	KeyAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

	// maxKey is how many bytes a key has at most: 255 characters.
	maxKey = 4 * 255
)

// NormalizeKey folds the ways in which people type a license key into one form: what nobody sees at its ends, case, and
// the kind of hyphen do not count. In keys of our own format, blanks, hyphens and full-width forms do not count
// anywhere, nor do the confusable letters O, I and L.
func NormalizeKey(typed string) string {
	if own, ok := OwnKey(typed); ok {
		return own
	}
	key := strings.Map(plainHyphen, Trim(typed))
	return norm.NFC.String(strings.Map(FoldCase, norm.NFD.String(key)))
}

// OwnKey is the normal form of a key of our own format; ok is false for other keys.
func OwnKey(typed string) (key string, ok bool) {
	if len(typed) > maxKey {
		return "", false
	}
	symbols := strings.Map(foldSymbol, norm.NFKC.String(typed))
	rest, ok := strings.CutPrefix(symbols, "11C") // LIC after folding
	if !ok || len(rest) != KeySymbols {
		return "", false
	}
	for i := range len(rest) {
		if strings.IndexByte(KeyAlphabet, rest[i]) < 0 {
			return "", false
		}
	}
	return KeyPrefix + rest, true
}

// isHyphen tells of dashes of every length, and of the minus sign.
func isHyphen(r rune) bool { return r == '-' || r == '\u2212' || unicode.Is(unicode.Pd, r) }

func plainHyphen(r rune) rune {
	if isHyphen(r) {
		return '-'
	}
	return r
}

// FoldCase makes one of all forms of a letter. Upper case alone would keep some apart, such as U+1E9E and U+00DF.
func FoldCase(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }

func foldSymbol(r rune) rune {
	if isHyphen(r) || IsUnseen(r) {
		return -1
	}
	switch r = unicode.ToUpper(r); r {
	case 'O':
		return '0'
	case 'I', 'L':
		return '1'
	}
	return r
}
