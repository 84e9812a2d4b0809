package licensing

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

const keyMask = "********"

// How a key is kept, as a keyed hash to be found by and sealed to be shown again, is in keys.go of package store.

// NewKey makes a license key such as LIC-7Q2M0V9KXT4B. Its symbols of 5 bits each are 60 bits: guessing is held off by
// rate limits and the key_enumeration detector.
func NewKey() string {
	var random [licensefile.KeySymbols]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	for i, b := range random {
		random[i] = licensefile.KeyAlphabet[b&31]
	}
	return licensefile.KeyPrefix + string(random[:])
}

// NormalizeKey is the form in which keys are compared, that of machines without a network.
func NormalizeKey(typed string) string { return licensefile.NormalizeKey(typed) }

// BrokenKey tells of control characters, such as line breaks, within a key that is not of our own format; there they do
// not count.
func BrokenKey(typed string) bool {
	return strings.ContainsFunc(typed, unicode.IsControl) &&
		strings.ContainsFunc(NormalizeKey(typed), unicode.IsControl)
}

// MaskKey shows enough of a key to recognize it, not to use it: four symbols of our own format, and of other keys four
// characters, which are a third at most, or none of keys that are shorter than 12.
func MaskKey(key string) string {
	if own, ok := licensefile.OwnKey(key); ok {
		return own[:len(licensefile.KeyPrefix)+4] + keyMask
	}
	runes := []rune(licensefile.Trim(key))
	if len(runes) < 12 {
		return keyMask
	}
	return string(runes[:4]) + keyMask
}

// importedKey is a key that a vendor brings along, as it is kept, and what is wrong with it; empty if nothing is.
// Within a key of our own format, what cannot be printed does not count, as in NormalizeKey.
func importedKey(typed string) (key, problem string) {
	key = licensefile.Trim(typed)
	if _, own := licensefile.OwnKey(key); own {
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
