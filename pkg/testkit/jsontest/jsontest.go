// Package jsontest makes JSON that is well formed and otherwise unreasonable, for tests that any of it is answered
// without a failure.
package jsontest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// texts are JSON strings that a careful server takes and a careless one stumbles over.
var texts = []string{
	`""`, `"x"`, `"\\u0000"`, `"\"\\\/"`, `"\u2028\u2029"`, `"\ufffe\uffff"`, `"\ud83d\ude00"`, `"e\u0301"`,
	"\"\u202e\u200b\"", `"'; DROP TABLE licenses; --"`,
	`"%s%n%00"`, `"2026-02-28"`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `"true"`, `"null"`, `"1e400"`,
	`"00000000-0000-0000-0000-000000000000"`,
	`"` + strings.Repeat("\u00e9", 255) + `"`, `"` + strings.Repeat(`\ud83d\ude00`, 64) + `"`,
}

var numbers = []string{"0", "-0", "1", "-1", "1.5", "5.0", "1e3", "1e308", "-1e-308", "2147483648",
	"9223372036854775807", "12345678901234567890"}

// Members are the members of an object, without its braces: some of the names, each with any value, some of them twice.
func Members(r *rand.Rand, names ...string) string { return members(r, 0, names...) }

func members(r *rand.Rand, depth int, names ...string) string {
	var out []string
	for range r.IntN(2 * len(names)) {
		out = append(out, fmt.Sprintf(`"%s":%s`, names[r.IntN(len(names))], value(r, depth)))
	}
	return strings.Join(out, ",")
}

func value(r *rand.Rand, depth int) string {
	kind := r.IntN(8)
	if depth > 3 {
		kind = r.IntN(6)
	}
	switch kind {
	case 0, 1:
		return texts[r.IntN(len(texts))]
	case 2, 3:
		return numbers[r.IntN(len(numbers))]
	case 4:
		return "null"
	case 5:
		return []string{"true", "false"}[r.IntN(2)]
	case 6:
		return list(r, depth+1)
	}
	return "{" + members(r, depth+1, "a", "b", "name", "", "\u2028") + "}"
}

func list(r *rand.Rand, depth int) string {
	var out []string
	for range r.IntN(4) {
		out = append(out, value(r, depth))
	}
	return "[" + strings.Join(out, ",") + "]"
}
