package licensing

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	keyPrefix = "LIC-"
	// keySymbols symbols of 5 bits each are 60 bits: guessing is held off by rate limits and the key_enumeration
	// detector.
	keySymbols = 12
	// crockford is Douglas Crockford's base 32 (crockford.com/base32.html): no I, L, O or U.
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

	keyMask = "********"
)

// NewKey makes a license key such as LIC-7Q2M0V9KXT4B.
func NewKey() string {
	var random [keySymbols]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	for i, b := range random {
		random[i] = crockford[b&31]
	}
	return keyPrefix + string(random[:])
}

// NormalizeKey folds the ways in which people type a key into one form: what nobody sees at its ends, case, and the
// kind of hyphen do not count. In keys of our own format, blanks, hyphens and full-width forms do not count anywhere,
// nor do the confusable letters O, I and L.
func NormalizeKey(typed string) string {
	if own, ok := foldOwnKey(typed); ok {
		return own
	}
	key := strings.Map(plainHyphen, trimKey(typed))
	return norm.NFC.String(strings.Map(foldCase, norm.NFD.String(key)))
}

// BrokenKey tells of control characters, such as line breaks, within a key that is not of our own format; there they do
// not count.
func BrokenKey(typed string) bool {
	return strings.ContainsFunc(typed, unicode.IsControl) &&
		strings.ContainsFunc(NormalizeKey(typed), unicode.IsControl)
}

// trimKey takes off what forms, files and terminals leave at the ends of a key.
func trimKey(typed string) string { return strings.TrimFunc(typed, isUnseen) }

// isUnseen tells of blanks, line breaks, and format characters such as zero-width spaces and byte order marks.
func isUnseen(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// isHyphen tells of dashes of every length, and of the minus sign.
func isHyphen(r rune) bool { return r == '-' || r == '\u2212' || unicode.Is(unicode.Pd, r) }

func plainHyphen(r rune) rune {
	if isHyphen(r) {
		return '-'
	}
	return r
}

// foldCase makes one of all forms of a letter. Upper case alone would keep some apart, such as U+1E9E and U+00DF.
func foldCase(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }

func foldOwnKey(key string) (string, bool) {
	if len(key) > 4*maxText {
		return "", false
	}
	symbols := strings.Map(foldSymbol, norm.NFKC.String(key))
	rest, ok := strings.CutPrefix(symbols, "11C") // LIC after folding
	if !ok || len(rest) != keySymbols {
		return "", false
	}
	for i := range len(rest) {
		if strings.IndexByte(crockford, rest[i]) < 0 {
			return "", false
		}
	}
	return keyPrefix + rest, true
}

func foldSymbol(r rune) rune {
	if isHyphen(r) || isUnseen(r) {
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

// MaskKey shows enough of a key to recognize it, not to use it: four symbols of our own format, and of other keys four
// characters, which are a third at most, or none of keys that are shorter than 12.
func MaskKey(key string) string {
	if own, ok := foldOwnKey(key); ok {
		return own[:len(keyPrefix)+4] + keyMask
	}
	runes := []rune(trimKey(key))
	if len(runes) < 12 {
		return keyMask
	}
	return string(runes[:4]) + keyMask
}

// importedKey is a key that a vendor brings along, as it is kept, and what is wrong with it; empty if nothing is.
// Within a key of our own format, what cannot be printed does not count, as in NormalizeKey.
func importedKey(typed string) (key, problem string) {
	key = trimKey(typed)
	if _, own := foldOwnKey(key); own {
		key = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, key)
	}
	switch n := utf8.RuneCountInString(key); {
	case n < 8 || n > maxText:
		return key, "must have 8 to 255 characters; leave it out to have a key made"
	case strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }):
		return key, "must have printable characters only"
	}
	return key, ""
}
