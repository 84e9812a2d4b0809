// Package jsonbody reads requests, mainly JSON, strictly: it refuses what other decoders guess at, and
// names every member that is wrong.
package jsonbody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Decode reads one JSON object into dst, a pointer to a struct with json tags. It is stricter than encoding/json, which
// is made for friends: names match exactly, trailing data, invalid UTF-8, control characters, half surrogate pairs,
// member names over 255 bytes and nesting beyond 32 are refused anywhere in the text, and numbers never lose anything.
// Unknown members are ignored, and of a member given twice the last counts. Null leaves a member as if it were absent,
// save in an Optional; what an Optional holds is replaced whole, so null within it means absent, too.
//
// The error is a VALIDATION_ERROR with what is wrong in details.fields, by member path, up to 20 members; the text
// itself is "body". If the text is not JSON to its end, only that is reported.
//
// Fields may be strings, bools, ints, floats, structs, pointers, slices, maps by string, time.Time (see ParseTime),
// End, any, json.RawMessage, Object and Optional, and lists may be of Row. Their tags:
//
//	max:"100"          bounds the entries of a list while it is read
//	text:"identifier"  reads text, or the texts of a list, as Identifier does, before control characters are
//	                   looked for
//	text:"key"         reads the same for license keys, within which line breaks and tabs are let pass
//	empty:"no"         refuses text that is empty, which is not the same as absent
//	time:"end"         reads a time.Time as an End
//	time:"start"       refuses the zero date of languages
//	null:"ok"          lets null be told from absent in an Optional, which otherwise refuses it
//
// Decode runs before the caller is known, so its work is linear in the bytes of any text.
func Decode(raw []byte, dst any) error { return decode(raw, dst, false) }

// DecodeStrict is Decode, but refuses unknown members, with the nearest known name; see also Unsettable.
func DecodeStrict(raw []byte, dst any) error { return decode(raw, dst, true) }

func decode(raw []byte, dst any, strict bool) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return apierr.InvalidField("body", "is empty; send JSON")
	}
	text := openText(raw)
	defer text.close()
	d := decoder{text: text, strict: strict}
	err := d.value(reflect.ValueOf(dst).Elem(), &plain)
	if err == nil {
		err = d.end()
	}
	if err != nil {
		d.broken(err)
	}
	return d.problems.Err()
}

// text is a JSON text being read.
type text struct {
	jsontext.Decoder
	raw    []byte
	buffer bytes.Buffer
}

// What jsontext would end the reading for, and we note (bad text) or take (a name given twice).
var (
	anyText    = jsontext.AllowInvalidUTF8(true)
	duplicates = jsontext.AllowDuplicateNames(true)
)

var texts = sync.Pool{New: func() any { return new(text) }}

func openText(raw []byte) *text {
	t := texts.Get().(*text)
	t.raw, t.buffer = raw, *bytes.NewBuffer(raw) // jsontext reads a bytes.Buffer in place and never writes to it
	t.Reset(&t.buffer, anyText, duplicates)
	return t
}

// maxPooled is the longest text whose decoder is kept for the next one.
const maxPooled = 16 << 10

func (t *text) close() {
	if len(t.raw) <= maxPooled {
		texts.Put(t)
	}
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	endType      = reflect.TypeFor[End]()
	rawType      = reflect.TypeFor[json.RawMessage]()
	objectType   = reflect.TypeFor[Object]()
	optionalType = reflect.TypeFor[optional]()
	rowType      = reflect.TypeFor[row]()
)

// decoder reads one text into Go values and gathers what is wrong. An error of its methods ends the reading; what has a
// wrong type is noted and skipped.
type decoder struct {
	*text
	strict   bool
	problems apierr.Fields
	noted    int // how often a problem was noted, also in a member that has one already
	root     int // where paths begin: 0, or the depth of the row that is read
}

// end wants nothing behind the value.
func (d *decoder) end() error {
	at := d.InputOffset()
	if _, err := d.ReadToken(); err != io.EOF {
		return d.stop("", notJSON(at))
	}
	return nil
}

func (d *decoder) value(v reflect.Value, m *member) error {
	if m.row {
		return d.row(v.Addr().Interface().(row))
	}
	kind := d.PeekKind()
	if m.optional {
		inner := v.Addr().Interface().(optional).mark(kind == 'n')
		v = reflect.ValueOf(inner).Elem()
	}
	if kind == 'n' {
		return d.null(v, m)
	}
	switch v.Type() {
	case timeType, endType:
		return d.time(v, m, kind)
	case rawType:
		return d.verbatim(v)
	case objectType:
		if kind != '{' {
			return d.refuse("must be an object")
		}
		return d.verbatim(v)
	}
	return d.kind(v, m, kind)
}

func (d *decoder) kind(v reflect.Value, m *member, kind jsontext.Kind) error {
	switch v.Kind() {
	case reflect.String:
		return d.string(v, m, kind)
	case reflect.Bool:
		return d.bool(v, kind)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return d.int(v, kind)
	case reflect.Float32, reflect.Float64:
		return d.float(v, kind)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), m)
	case reflect.Struct:
		return d.object(v, kind)
	case reflect.Slice:
		return d.list(v, m, kind)
	case reflect.Map:
		return d.dictionary(v, m, kind)
	case reflect.Interface:
		return d.any(v)
	}
	panic(fmt.Sprintf("jsonbody: a request cannot have a %s", v.Type()))
}

func (d *decoder) null(v reflect.Value, m *member) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	v.SetZero()
	if !m.nullable && !m.absentNull {
		d.fail("must not be null")
	}
	return nil
}

func (d *decoder) object(v reflect.Value, kind jsontext.Kind) error {
	if kind != '{' {
		return d.refuse("must be an object")
	}
	known := membersOf(v.Type())
	return d.members(func(name []byte) error {
		if m, ok := known[string(name)]; ok {
			return d.value(v.FieldByIndex(m.index), m)
		}
		if d.strict {
			d.unknown(v, string(name), known)
		}
		return d.skip()
	})
}

func (d *decoder) dictionary(v reflect.Value, m *member, kind jsontext.Kind) error {
	if kind != '{' {
		return d.refuse("must be an object")
	}
	v.Set(reflect.MakeMap(v.Type()))
	of := entryOf(v.Type().Elem(), m)
	return d.members(func(name []byte) error {
		key := reflect.ValueOf(string(name)).Convert(v.Type().Key())
		entry := reflect.New(v.Type().Elem()).Elem()
		err := d.value(entry, of)
		v.SetMapIndex(key, entry)
		return err
	})
}

// members reads an object; read reads the value of one member.
func (d *decoder) members(read func(name []byte) error) error {
	if entered, err := d.enter(); !entered {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.name()
		if err != nil {
			return err
		}
		if err := read(name); err != nil {
			return err
		}
	}
	return d.leave()
}

func (d *decoder) list(v reflect.Value, m *member, kind jsontext.Kind) error {
	if kind != '[' {
		return d.refuse("must be a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 4))
	entry := entryOf(v.Type().Elem(), m)
	n, err := d.entries(func(i int) error {
		if m.max > 0 && i >= m.max {
			return d.skip()
		}
		v.Grow(1)
		v.SetLen(i + 1)
		return d.value(v.Index(i), entry)
	})
	if err == nil && m.max > 0 && n > m.max {
		d.fail(fmt.Sprintf("must have at most %d entries", m.max))
	}
	return err
}

// entries reads a list and returns its length; read reads one entry.
func (d *decoder) entries(read func(i int) error) (int, error) {
	if entered, err := d.enter(); !entered {
		return 0, err
	}
	n := 0
	for ; d.PeekKind() != ']'; n++ {
		if err := read(n); err != nil {
			return n, err
		}
	}
	return n, d.leave()
}

// row reads an entry that stands alone. What ends the reading concerns the text and no row: then nobody looks at the
// rows.
func (d *decoder) row(r row) error {
	value, problems := r.parts()
	around := *d
	d.problems, d.noted, d.root = nil, 0, d.StackDepth()
	if err := d.value(reflect.ValueOf(value).Elem(), &plain); err != nil {
		return err
	}
	*problems = d.problems
	*d = around
	return nil
}

// enter begins an object or a list, or passes over one that lies too deep within a row, which fails alone.
func (d *decoder) enter() (entered bool, err error) {
	if d.StackDepth() == maxDepth && d.root > 0 {
		if err := d.SkipValue(); err != nil {
			return false, err
		}
		d.fail(tooDeep)
		return false, nil
	}
	if _, err := d.ReadToken(); err != nil {
		return false, err
	}
	if d.StackDepth() > maxDepth {
		return false, d.stop(d.StackPointer(), tooDeep)
	}
	return true, nil
}

// leave reads the end of the object or list that was entered.
func (d *decoder) leave() error {
	_, err := d.ReadToken()
	return err
}

// skip checks one value of any kind.
func (d *decoder) skip() error {
	switch d.PeekKind() {
	case '{':
		return d.members(func([]byte) error { return d.skip() })
	case '[':
		_, err := d.entries(func(int) error { return d.skip() })
		return err
	case '"':
		_, err := d.checkedText(&plain)
		return err
	case '0':
		_, err := d.number()
		return err
	}
	_, err := d.ReadToken() // true, false, null, or no value: then this fails
	return err
}

// verbatim keeps a value as it was written.
func (d *decoder) verbatim(v reflect.Value) error {
	value, err := d.written()
	v.SetBytes(bytes.Clone(value))
	return err
}

// any hands what has been checked to encoding/json.
func (d *decoder) any(v reflect.Value) error {
	value, err := d.written()
	if err != nil || len(d.problems) > 0 {
		return err
	}
	if err := json.Unmarshal(value, v.Addr().Interface()); err != nil {
		d.fail("is not acceptable")
	}
	return nil
}

// written checks a value and returns its bytes.
func (d *decoder) written() ([]byte, error) {
	start := d.InputOffset()
	if err := d.skip(); err != nil {
		return nil, err
	}
	return bytes.TrimLeft(d.raw[start:d.InputOffset()], ":, \t\r\n"), nil
}
