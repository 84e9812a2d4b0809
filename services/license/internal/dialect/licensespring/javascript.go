package licensespring

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// printed is v as JavaScript prints it: clients verify signatures over what they read and print again. Members are in
// the order of the struct, nothing is escaped that need not be, and no blanks and no line break are added.
func printed(v any) []byte {
	raw, err := jsonv2.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("licensespring: " + err.Error()) // of our own types none fails
	}
	return raw
}

// stamp is a time as JavaScript writes it, null for none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// likeJavaScript is a JSON text as JavaScript would print it after reading it: of names given twice the last value
// counts, names that are array indices come first in their order, and numbers are printed as the nearest float64.
// Nothing is an empty object.
func likeJavaScript(raw json.RawMessage) jsontext.Value {
	if len(bytes.TrimSpace(raw)) == 0 {
		return jsontext.Value("{}")
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	out, err := appendValue(nil, d)
	if err != nil {
		return jsontext.Value("{}") // not written by us
	}
	return out
}

func appendValue(out []byte, d *jsontext.Decoder) ([]byte, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		return appendObject(out, d)
	case '[':
		out = append(out, '[')
		for d.PeekKind() != ']' {
			if len(out) > 0 && out[len(out)-1] != '[' {
				out = append(out, ',')
			}
			if out, err = appendValue(out, d); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return append(out, ']'), err
	case '"':
		return appendText(out, token.String())
	case '0':
		f, err := token.Float()
		if err != nil { // beyond what JavaScript has numbers for
			return append(out, "null"...), nil
		}
		return appendNumber(out, f)
	}
	return append(out, token.String()...), nil
}

// pair is a member of an object.
type pair struct {
	name  string
	value []byte
}

func appendObject(out []byte, d *jsontext.Decoder) ([]byte, error) {
	var members []pair
	at := map[string]int{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		value, err := appendValue(nil, d)
		if err != nil {
			return nil, err
		}
		if i, twice := at[text]; twice {
			members[i].value = value
			continue
		}
		at[text] = len(members)
		members = append(members, pair{text, value})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(members, func(a, b pair) int { return cmp.Compare(index(a.name), index(b.name)) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendText(out, m.name); err != nil {
			return nil, err
		}
		out = append(append(out, ':'), m.value...)
	}
	return append(out, '}'), nil
}

// index is the place of a name that is an array index; other names come after all of them.
func index(name string) float64 {
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil || n == math.MaxUint32 || strconv.FormatUint(n, 10) != name {
		return math.Inf(1)
	}
	return float64(n)
}

func appendText(out []byte, text string) ([]byte, error) {
	return jsontext.AppendQuote(out, strings.ToValidUTF8(text, "\ufffd"))
}

// appendNumber prints a number as JavaScript does (RFC 8785, section 3.2.2.3).
func appendNumber(out []byte, f float64) ([]byte, error) {
	if f == 0 {
		return append(out, '0'), nil // also -0
	}
	raw, err := jsonv2.Marshal(f)
	return append(out, raw...), err
}
