package testkit

import (
	"math/rand/v2"
	"strings"
)

// pieces are what texts are made of that have a meaning somewhere on their way: in JSON, SQL, COPY, arrays, HTML,
// formats.
var pieces = []string{
	`\u0000`, `\\u0000`, `\`, `\\`, `\N`, `\.`, `\x00`, `\0`, `\ud800`, `"`, `'`, `''`, "`", `{`, `}`, `[`, `]`,
	`{"a","b"}`, `NULL`, `,`, `:`, `;--`, `%`, `%s`, `%00`,
	`$1`, `?`, `<script>`, `</`, `&amp;`, `null`, `true`, `1e999`, ` `, "\u00a0", "\u2028", "\u2029", "\u200b",
	"\u202e", "\ufeff", "\ufffd", "\ufffe",
	"\uffff", "e\u0301", "é", "ß", "漢字", "\U0001f512", "\U0010ffff", "a", "Z", "0", "_", "-", "/", "..",
}

// Text makes a text of 1 to 255 characters of the kind that the public API admits: UTF-8 without control characters.
// Long ones and those with characters of four bytes are among them.
func Text(random *rand.Rand) string {
	want := 1 + random.IntN(12)
	if random.IntN(10) == 0 {
		want = 255
	}
	var text []rune
	for len(text) < want {
		text = append(text, []rune(pieces[random.IntN(len(pieces))])...)
	}
	if text = text[:want]; strings.TrimSpace(string(text)) == "" {
		text[0] = 'x' // blanks alone count as none in places
	}
	return string(text)
}
