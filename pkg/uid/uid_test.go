package uid_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/uid"
)

const id = "0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b"

var hex = strings.ReplaceAll(id, "-", "")

func TestSpellings(t *testing.T) {
	upper := strings.ToUpper(id)
	for text, want := range map[string]struct{ is, parsed, former bool }{
		id:                                     {true, true, true},
		uid.Nil:                                {true, true, true},
		upper:                                  {false, true, true},
		"0199d3c4-7A10-7c3e-9f65-0c1d4e5f6a7b": {false, true, true},
		"{" + id + "}":                         {false, false, true},
		"{" + upper + "}":                      {false, false, true},
		"urn:uuid:" + id:                       {false, false, true},
		"URN:UUID:" + upper:                    {false, false, true},
		hex:                                    {false, false, true},
		strings.ToUpper(hex):                   {false, false, true},
		"":                                     {},
		id[1:]:                                 {},
		id + "0":                               {},
		" " + id[1:]:                           {},
		id[:35] + "g":                          {},
		id[:35] + "\x00":                       {},
		strings.Replace(id, "-", "0", 1):       {},
		"0" + strings.Replace(id, "3c4-", "3-c4", 1)[1:]: {},
		"\u212a" + id[3:]: {}, // the Kelvin sign, which is a "k" in lower case
	} {
		lower := strings.ToLower(text)
		if got := uid.Is(text); got != want.is {
			t.Errorf("Is(%q) = %v", text, got)
		}
		got, ok := uid.Parse(text)
		if ok != want.parsed || ok && got != lower || !ok && got != "" {
			t.Errorf("Parse(%q) = %q, %v", text, got, ok)
		}
		got, ok = uid.Former(text)
		if ok != want.former || ok && (!uid.Is(got) || !strings.Contains(lower, got) && !strings.Contains(lower, hex)) {
			t.Errorf("Former(%q) = %q, %v", text, got, ok)
		}
		if b, ok := uid.Bytes(text); ok != want.is || ok && text == id && (b[0] != 0x01 || b[15] != 0x7b) {
			t.Errorf("Bytes(%q) = %x, %v", text, b, ok)
		}
	}
}
