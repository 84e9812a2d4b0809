package httpx

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Decode reads one JSON object into dst, a pointer to a struct with json tags. It is stricter than encoding/json, which is
// made for friends: names match exactly, trailing data, invalid UTF-8, control characters, half surrogate pairs and nesting
// beyond 32 are refused anywhere in the text, numbers never lose anything, and null is accepted only by fields with the tag
// null:"ok" (it leaves the zero value). Unknown members are ignored, and of a member given twice the last counts. The error
// is a VALIDATION_ERROR with everything that is wrong in details.fields, by member path; the text itself is "body".
//
// Fields may be strings, bools, ints, floats, structs, pointers, slices, maps by string, time.Time (see ParseTime), any,
// json.RawMessage, Object and Optional, and lists may be of Row. The tag max:"100" bounds the entries of a list while it is read.
func Decode(raw []byte, dst any) error {
	if len(raw) == 0 {
		return apierr.InvalidField("body", "must be an object")
	}
	d := decoder{scanner{data: raw}}
	err := d.value(reflect.ValueOf(dst).Elem(), &plain)
	if err == nil && (d.next() != 0 || d.pos < len(raw)) {
		_ = d.syntax() // trailing data
	}
	if len(d.problems) > 0 {
		return apierr.InvalidFields(d.problems)
	}
	return nil
}

// member is what the tags of a field say.
type member struct {
	index    []int
	nullable bool
	optional bool
	row      bool
	max      int // entries of a list, 0 = any number
}

// What lists and maps hold has no tags. Null is a value like others in a free map; what is kept for later may be null too.
var (
	plain    = member{}
	free     = member{nullable: true}
	rowEntry = member{row: true}
)

// plans remembers the members of each struct type; it is filled from types alone, so sharing it is no shared state.
var plans sync.Map // reflect.Type -> map[string]*member

func planOf(t reflect.Type) map[string]*member {
	if p, ok := plans.Load(t); ok {
		return p.(map[string]*member)
	}
	plan := map[string]*member{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		max, _ := strconv.Atoi(f.Tag.Get("max"))
		plan[name] = &member{
			index:    f.Index,
			nullable: f.Tag.Get("null") == "ok",
			optional: reflect.PointerTo(f.Type).Implements(optionalType),
			max:      max,
		}
	}
	plans.Store(t, plan)
	return plan
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	rawType      = reflect.TypeFor[json.RawMessage]()
	objectType   = reflect.TypeFor[Object]()
	optionalType = reflect.TypeFor[optional]()
	rowType      = reflect.TypeFor[row]()
)

type decoder struct{ scanner }

// value reads one value into v. What has another type than v is noted and skipped.
func (d *decoder) value(v reflect.Value, m *member) error {
	if m.row {
		return d.row(v.Addr().Interface().(row))
	}
	first := d.next()
	if m.optional {
		inner := v.Addr().Interface().(optional).mark(first == 'n')
		v = reflect.ValueOf(inner).Elem()
	}
	if first == 'n' {
		if err := d.literal("null"); err != nil {
			return err
		}
		v.SetZero()
		if !m.nullable {
			d.fail("must not be null")
		}
		return nil
	}
	switch v.Type() {
	case timeType:
		return d.time(v, first)
	case rawType:
		return d.verbatim(v)
	case objectType:
		if first != '{' {
			return d.refuse("must be an object")
		}
		return d.verbatim(v)
	}
	return d.kind(v, m, first)
}

func (d *decoder) kind(v reflect.Value, m *member, first byte) error {
	switch v.Kind() {
	case reflect.String:
		return d.string(v, first)
	case reflect.Bool:
		return d.bool(v, first)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return d.int(v, first)
	case reflect.Float32, reflect.Float64:
		return d.float(v, first)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), m)
	case reflect.Struct:
		return d.object(v, first)
	case reflect.Slice:
		return d.list(v, m, first)
	case reflect.Map:
		return d.dictionary(v, first)
	case reflect.Interface:
		return d.any(v)
	}
	panic(fmt.Sprintf("httpx: a request cannot have a %s", v.Type()))
}

// refuse notes a problem and skips the value.
func (d *decoder) refuse(problem string) error {
	d.fail(problem)
	return d.skip()
}

func (d *decoder) string(v reflect.Value, first byte) error {
	if first != '"' {
		return d.refuse("must be text")
	}
	s, err := d.text()
	v.SetString(string(s))
	return err
}

func (d *decoder) time(v reflect.Value, first byte) error {
	if first != '"' {
		return d.refuse(badTime)
	}
	s, err := d.text()
	if err != nil {
		return err
	}
	t, ok := ParseTime(string(s))
	if !ok {
		d.fail(badTime)
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func (d *decoder) bool(v reflect.Value, first byte) error {
	switch first {
	case 't':
		v.SetBool(true)
		return d.literal("true")
	case 'f':
		v.SetBool(false)
		return d.literal("false")
	}
	return d.refuse("must be true or false")
}

const badInt = "must be a whole number"

func (d *decoder) int(v reflect.Value, first byte) error {
	if !startsNumber(first) {
		return d.refuse(badInt)
	}
	digits, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(digits), 10, v.Type().Bits())
	if err != nil {
		d.fail(badInt)
	}
	v.SetInt(n)
	return nil
}

func (d *decoder) float(v reflect.Value, first byte) error {
	if !startsNumber(first) {
		return d.refuse("must be a number")
	}
	digits, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseFloat(string(digits), v.Type().Bits())
	if err != nil || !storable(digits) {
		d.fail(badNumber)
		return nil
	}
	v.SetFloat(n)
	return nil
}

func startsNumber(b byte) bool { return b == '-' || b >= '0' && b <= '9' }

func (d *decoder) object(v reflect.Value, first byte) error {
	if first != '{' {
		return d.refuse("must be an object")
	}
	plan := planOf(v.Type())
	if err := d.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := d.more(first, '}')
		if !more {
			return err
		}
		name, err := d.member()
		if err != nil {
			return err
		}
		m, known := plan[string(name)]
		if known {
			err = d.value(v.FieldByIndex(m.index), m)
		} else {
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
}

func (d *decoder) list(v reflect.Value, m *member, first byte) error {
	if first != '[' {
		return d.refuse("must be a list")
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 4))
	entry := entryOf(v.Type().Elem())
	for i := 0; ; i++ {
		more, err := d.more(i == 0, ']')
		if !more {
			return err
		}
		if m.max > 0 && i == m.max {
			d.depth--
			d.fail(fmt.Sprintf("must have at most %d entries", m.max))
			d.depth++
		}
		d.path[d.depth-1] = step{index: i}
		if m.max > 0 && i >= m.max {
			err = d.skip()
		} else {
			v.Grow(1)
			v.SetLen(i + 1)
			err = d.value(v.Index(i), entry)
		}
		if err != nil {
			return err
		}
	}
}

func entryOf(t reflect.Type) *member {
	switch {
	case t == rawType || t.Kind() == reflect.Interface:
		return &free
	case reflect.PointerTo(t).Implements(rowType):
		return &rowEntry
	}
	return &plain
}

// row reads an entry that stands alone. What ends the scan concerns the text and no row: then nobody looks at the rows.
func (d *decoder) row(r row) error {
	value, problems := r.parts()
	around, root := d.problems, d.root
	d.problems, d.root = nil, d.depth
	if err := d.value(reflect.ValueOf(value).Elem(), &plain); err != nil {
		return err
	}
	*problems = d.problems
	d.problems, d.root = around, root
	return nil
}

func (d *decoder) dictionary(v reflect.Value, first byte) error {
	if first != '{' {
		return d.refuse("must be an object")
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	for first := true; ; first = false {
		more, err := d.more(first, '}')
		if !more {
			return err
		}
		name, err := d.member()
		if err != nil {
			return err
		}
		entry := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(entry, entryOf(entry.Type())); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(string(name)).Convert(v.Type().Key()), entry)
	}
}

func (d *decoder) verbatim(v reflect.Value) error {
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	v.SetBytes(append([]byte(nil), d.data[start:d.pos]...))
	return nil
}

// any hands what has been checked to encoding/json.
func (d *decoder) any(v reflect.Value) error {
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	if len(d.problems) == 0 {
		if err := json.Unmarshal(d.data[start:d.pos], v.Addr().Interface()); err != nil {
			d.fail("is not acceptable")
		}
	}
	return nil
}

// text reads a string without its escapes.
func (s *scanner) text() ([]byte, error) {
	inner, escaped, err := s.quoted()
	if err != nil || !escaped {
		return inner, err
	}
	var out string
	// Fails only on what was noted as a problem, so that nobody will see the value.
	_ = json.Unmarshal(s.data[s.pos-len(inner)-2:s.pos], &out)
	return []byte(out), nil
}
