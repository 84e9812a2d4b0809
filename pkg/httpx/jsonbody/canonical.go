package jsonbody

import (
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Canonical is a JSON text in the one form that all texts of the same value have: members in the order of their names,
// no blanks, no needless escapes. Numbers stay as they are written. What Decode does not read, or takes only for the
// sake of mistaken clients (a name given twice), stays as it is. The work is that of Decode, and the sorting of names.
func Canonical(raw []byte) []byte {
	if !shallow(raw) {
		return raw
	}
	form := append(jsontext.Value{}, raw...)
	err := form.Format(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false),
		jsontext.ReorderRawObjects(true))
	if err != nil {
		return raw
	}
	return form
}

// shallow reports whether raw is JSON that is nested no deeper than Decode reads: members are moved at each level.
func shallow(raw []byte) bool {
	t := openText(raw)
	defer t.close()
	for {
		if _, err := t.ReadToken(); err != nil {
			return err == io.EOF
		}
		if t.StackDepth() > maxDepth {
			return false
		}
	}
}
