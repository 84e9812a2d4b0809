package jsonbody

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

// Identifier is s as identifiers and tokens are compared, also by machines without a network.
func Identifier(s string) string { return licensefile.Identifier(s) }

// BadTime is the problem of text that ParseTime does not take.
const BadTime = "must be a time as in 2026-01-31T12:00:00Z, or a date as in 2026-01-31"

// ParseTime reads RFC 3339 with T and Z, or a date alone as its midnight in UTC. The result is in UTC and cut to the
// microsecond, of a year from 1 to 9999.
func ParseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	ok := err == nil && isStrict(s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
		ok = err == nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return t, ok && t.Year() >= 1 && t.Year() <= 9999
}

// isStrict reports whether what time.Parse took by RFC3339 is that: it also takes an hour of one digit, a comma before
// the fraction, and offsets beyond 23:59.
func isStrict(s string) bool {
	zone := s[len(s)-len("00:00"):]
	return s[len("2006-01-02T1")] != ':' && !strings.Contains(s, ",") &&
		(strings.HasSuffix(s, "Z") || zone[:2] <= "23" && zone[3:] <= "59")
}

// EmptyText is the problem of text that is empty, which is not the same as absent.
const EmptyText = "must not be empty; leave it out instead"

const (
	// firstEnd is the first year in which something may end: the zero dates of languages lie before it.
	firstEnd = 2000
	badEnd   = "must be in the year 2000 or later; only null means without end"
	zeroTime = "must not be 0001-01-01, the zero date of many languages; send null instead"
)

// End is when something ends: a time, or a date alone, which is the last second of its day. The zero dates of languages
// are refused.
type End struct {
	time.Time
	// Day tells that a date alone was sent. Time is then the last second of that day in UTC.
	Day bool
}

// ParseEnd reads an End as Decode does, but takes the zero dates of languages.
func ParseEnd(s string) (End, bool) {
	t, ok := ParseTime(s)
	_, err := time.Parse(time.DateOnly, s)
	if err == nil {
		t = t.Add(24*time.Hour - time.Second)
	}
	return End{t, err == nil}, ok
}

// TextProblem is what is wrong with text that no part of a request may have, "" when nothing is.
func TextProblem(s string) string {
	if !utf8.ValidString(s) {
		return badUTF8
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return badControl
		}
	}
	return ""
}
