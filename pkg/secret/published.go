package secret

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
)

// publishedList has the SHA-256 of a secret per line, in hexadecimal, and where it stood.
//
//go:embed published.txt
var publishedList string

// published are the hashes of publishedList. It is read when first asked for.
var published = sync.OnceValue(func() map[[sha256.Size]byte]bool {
	hashes := map[[sha256.Size]byte]bool{}
	for line := range strings.Lines(publishedList) {
		text, _, _ := strings.Cut(line, " ")
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == sha256.Size {
			hashes[[sha256.Size]byte(raw)] = true
		}
	}
	return hashes
})

// Published reports whether s is, or ever was, in the source of Latchkey: in a profile, an example or a test.
// Everybody can know it. Production refuses it: Weak and the settings of package app ask.
func Published(s string) bool { return published()[sha256.Sum256([]byte(strings.TrimSpace(s)))] }

// PublishedKey is Published for a key of raw bytes, however its base64 is written.
func PublishedKey(key []byte) bool { return Published(base64.StdEncoding.EncodeToString(key)) }
