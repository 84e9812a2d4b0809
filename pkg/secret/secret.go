// Package secret makes, checks and hides high-entropy secrets: API keys, admin keys, refresh tokens, and the shared
// secrets of a configuration. A made secret is its prefix, 43 base-62 digits of 256 random bits, and six digits of
// checksum, so that a typing error is told from a wrong secret without asking anyone.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash/crc32"
	"log/slog"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Secret is text that shows itself only through Reveal. Formatting, JSON and logs get "***", or nothing when it is
// empty.
type Secret string

const hidden = "***"

// String implements fmt.Stringer without telling the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString implements fmt.GoStringer without telling the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText implements encoding.TextMarshaler without telling the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer without telling the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

const (
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	bodyDigits = 43 // 62^43 > 2^256
	sumDigits  = 6  // 62^6 > 2^32
)

// ErrEnded is why a secret that was once valid is refused: revoked, replaced or expired. Anyone who sends
// it did not guess it.
var ErrEnded = errors.New("the secret was valid but has ended")

// Digits is the number of characters that a made secret has after its prefix.
const Digits = bodyDigits + sumDigits

// New makes a secret of 256 random bits. The prefix, "sk_" for example, shows people and scanners what it is for.
func New(prefix string) string {
	var random [32]byte
	rand.Read(random[:]) // never fails: it ends the program instead
	n, digit, base := new(big.Int).SetBytes(random[:]), new(big.Int), big.NewInt(62)
	var body [bodyDigits]byte
	for i := bodyDigits - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		body[i] = alphabet[digit.Int64()]
	}
	s := prefix + string(body[:])
	sum := checksum(s)
	return s + string(sum[:])
}

// WellFormed reports whether s is a secret as New(prefix) makes them: its length, alphabet and checksum. It costs no
// look-up and says nothing about whether the secret opens anything.
func WellFormed(prefix, s string) bool {
	if len(s) != len(prefix)+bodyDigits+sumDigits || !strings.HasPrefix(s, prefix) {
		return false
	}
	for i := len(prefix); i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	body := s[:len(s)-sumDigits]
	sum := checksum(body)
	return string(sum[:]) == s[len(body):]
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func checksum(s string) (digits [sumDigits]byte) {
	sum := crc32.ChecksumIEEE([]byte(s))
	for i := sumDigits - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%62]
		sum /= 62
	}
	return digits
}

// Hash is the SHA-256 of s: the only form in which made secrets are stored. Their entropy is the protection, so it may
// be fast.
func Hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// Equal compares in a time that reveals nothing about either, lengths included.
func Equal(a, b string) bool {
	x, y := Hash(a), Hash(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

const (
	minLength   = 32
	minDistinct = 8
)

// samples are pieces of secrets that come out of examples, in lower case.
var samples = [...]string{"changeme", "change-me", "change_me", "password", "example", "sample", "placeholder",
	"insecure", "default", "your-secret", "your_secret", "yoursecret", "supersecret", "super-secret", "0123456789",
	"abcdefghij", "qwertyuiop"}

// IsPublished is what Weak says of a secret that Published knows.
const IsPublished = "stands in the published source of Latchkey, so everybody can know it; make a random one"

// Weak says why s must not protect anything in production, as the end of a sentence that begins with the name of the
// setting; it is empty when s is fine.
func Weak(s string) string {
	if Published(s) {
		return IsPublished
	}
	if len(s) < minLength {
		return "has " + strconv.Itoa(len(s)) + " characters, it needs at least " + strconv.Itoa(minLength)
	}
	lower := strings.ToLower(s)
	for _, sample := range samples {
		if strings.Contains(lower, sample) {
			return "looks like a sample (it contains " + strconv.Quote(sample) + "); make a random one"
		}
	}
	if n := distinct([]rune(s)); n < minDistinct {
		return "has only " + strconv.Itoa(n) + " different characters; make a random one"
	}
	return ""
}

// WeakKey is Weak for a key of 32 raw bytes. Random ones pass: a key of fewer than eight different bytes, or of
// printable characters only, comes up at random less than once in ten trillion times.
func WeakKey(key []byte) string {
	if PublishedKey(key) {
		return IsPublished
	}
	if n := distinct(key); n < minDistinct {
		return "has only " + strconv.Itoa(n) + " different bytes; make a random one"
	}
	if !slices.ContainsFunc(key, func(b byte) bool { return b < ' ' || b > '~' }) {
		return "encodes text, not random bytes; make a random one"
	}
	return ""
}

func distinct[T comparable](s []T) int {
	seen := map[T]bool{}
	for _, c := range s {
		seen[c] = true
	}
	return len(seen)
}
