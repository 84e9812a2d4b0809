// Package uid knows how ids are spelled: UUIDs of 36 characters, in lower case and with hyphens. PostgreSQL and package
// uuid read others, too (braces, URNs, no hyphens), so that an id which is kept, compared or sent on as it came would
// be another one to a cache, an event or an erasure. archtest.OneSpelling keeps other readers out.
package uid

import (
	"strings"

	"github.com/google/uuid"
)

// size is how many characters an id has.
const size = 36

// Nil is well spelled, and the id of nothing.
const Nil = "00000000-0000-0000-0000-000000000000"

// Is reports whether s is an id in our spelling.
func Is(s string) bool {
	if len(s) != size {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if b != '-' {
				return false
			}
		case (b < '0' || b > '9') && (b < 'a' || b > 'f'):
			return false
		}
	}
	return true
}

// Parse reads what others send: our spelling, in either case. It returns "" for everything else.
func Parse(s string) (id string, ok bool) {
	if len(s) != size {
		return "", false
	}
	if id = strings.ToLower(s); !Is(id) {
		return "", false
	}
	return id, true
}

// Former reads what earlier versions wrote into events: they took ids with braces, as URNs and without hyphens, and
// kept them so.
func Former(s string) (id string, ok bool) {
	parsed, err := uuid.Parse(s)
	if err != nil {
		return "", false
	}
	return parsed.String(), true
}

// Bytes are those of an id in our spelling.
func Bytes(id string) (b [16]byte, ok bool) {
	if !Is(id) {
		return b, false
	}
	parsed, err := uuid.Parse(id)
	return parsed, err == nil
}
