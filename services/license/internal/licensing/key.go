package licensing

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	keyPrefix = "LIC-"
	// keySymbols symbols of 5 bits each are 60 bits: guessing is held off by rate limits and the key_enumeration detector.
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

// NormalizeKey folds the ways in which people type a key into one form: surrounding blanks and case do not count; in
// keys of our own format neither do inner blanks and hyphens nor the confusable letters O, I and L.
func NormalizeKey(typed string) string {
	folded := strings.ToUpper(strings.TrimSpace(typed))
	if own, ok := foldOwnKey(folded); ok {
		return own
	}
	return folded
}

func foldOwnKey(key string) (string, bool) {
	if len(key) > 64 {
		return "", false
	}
	symbols := strings.Map(foldSymbol, key)
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
	switch {
	case r == '-' || unicode.IsSpace(r):
		return -1
	case r == 'O':
		return '0'
	case r == 'I' || r == 'L':
		return '1'
	}
	return r
}

// MaskKey shows the first four symbols of a key: enough to recognize it, not to use it.
func MaskKey(key string) string {
	shown := 4
	if strings.HasPrefix(key, keyPrefix) {
		shown += len(keyPrefix)
	}
	runes := []rune(key)
	return string(runes[:min(shown, len(runes))]) + keyMask
}

// checkImportedKey tells what is wrong with a key that a vendor brings along; empty if nothing is.
func checkImportedKey(key string) string {
	n := utf8.RuneCountInString(strings.TrimSpace(key))
	if n < 8 || n > 255 {
		return "must have 8 to 255 characters; leave it out to have a key made"
	}
	for _, r := range key {
		if !unicode.IsPrint(r) {
			return "must have printable characters only"
		}
	}
	return ""
}
