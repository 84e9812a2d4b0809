package jsonbody

import (
	"bytes"
	"errors"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

// name reads the name of a member.
func (d *decoder) name() ([]byte, error) {
	if d.PeekKind() != '"' {
		_, err := d.ReadToken()
		return nil, err // which is never nil: only text can be a name
	}
	name, problem, err := d.rawText(&plain)
	if err != nil {
		return nil, err
	}
	if len(name) > maxName {
		return nil, d.stop(d.StackPointer().Parent(), longName)
	}
	if problem != "" {
		d.failAround(problem)
	}
	return name, nil
}

// checkedText reads a string and notes what no string may hold.
func (d *decoder) checkedText(m *member) ([]byte, error) {
	s, problem, err := d.rawText(m)
	if problem != "" {
		d.fail(problem)
	}
	return s, err
}

// rawText reads a string without its escapes, and tells what no string may hold.
func (d *decoder) rawText(m *member) (s []byte, problem string, err error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return nil, "", d.brokenText(err)
	}
	if s = quoted[1 : len(quoted)-1]; isPlain(s) {
		if m.identifier {
			s = bytes.TrimFunc(s, licensefile.IsUnseen)
		}
		return s, "", nil
	}
	s, err = jsontext.AppendUnquote(nil, quoted)
	switch {
	case !utf8.Valid(quoted):
		return s, badUTF8, nil
	case err != nil:
		return s, badSurrogate, nil
	}
	if m.identifier {
		s = []byte(Identifier(string(s)))
	}
	if bytes.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !(m.spaced && unicode.IsSpace(r)) }) {
		problem = badControl
	}
	return s, problem, nil
}

// isPlain reports whether text means what it says: ASCII without escapes and control characters.
func isPlain(s []byte) bool {
	for _, b := range s {
		if b < ' ' || b > '~' || b == '\\' {
			return false
		}
	}
	return true
}

// brokenText says of a control character between quotes, which JSON does not have, where it is.
func (d *decoder) brokenText(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && syntax.ByteOffset < int64(len(d.raw)) && d.raw[syntax.ByteOffset] < ' ' {
		return d.stop(syntax.JSONPointer, badControl)
	}
	return err
}

func (d *decoder) string(v reflect.Value, m *member, kind jsontext.Kind) error {
	if kind != '"' {
		return d.refuse("must be text")
	}
	s, err := d.checkedText(m)
	if err == nil && m.filled && len(s) == 0 {
		d.fail(EmptyText)
	}
	v.SetString(string(s))
	return err
}

func (d *decoder) time(v reflect.Value, m *member, kind jsontext.Kind) error {
	if kind != '"' {
		return d.refuse(BadTime)
	}
	s, err := d.checkedText(m)
	if err != nil {
		return err
	}
	isEnd := m.end || v.Type() == endType
	t, ok := ParseEnd(string(s))
	if !isEnd {
		t.Time, ok = ParseTime(string(s))
	}
	switch {
	case !ok:
		d.fail(BadTime)
	case isEnd && t.Year() < firstEnd:
		d.fail(badEnd)
	case m.start && t.IsZero():
		d.fail(zeroTime)
	}
	if v.Type() == endType {
		v.Set(reflect.ValueOf(t))
	} else {
		v.Set(reflect.ValueOf(t.Time))
	}
	return nil
}

func (d *decoder) bool(v reflect.Value, kind jsontext.Kind) error {
	if kind != 't' && kind != 'f' {
		return d.refuse("must be true or false")
	}
	v.SetBool(kind == 't')
	_, err := d.ReadToken()
	return err
}

const badInt = "must be a whole number"

func (d *decoder) int(v reflect.Value, kind jsontext.Kind) error {
	if kind != '0' {
		return d.refuse(badInt)
	}
	digits, err := d.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(whole(string(digits)), 10, v.Type().Bits())
	if err != nil {
		d.fail(badInt)
	}
	v.SetInt(n)
	return nil
}

// maxWhole bounds the length of a whole number that is looked into, and its exponent: an exponent of a million in six
// bytes must not make a number of a million digits.
const maxWhole = 40

// whole spells a whole number without the fraction and exponent that some languages write: 5 for 5.0 and 5e0. Others
// stay as they are.
func whole(digits string) string {
	if len(digits) > maxWhole || !strings.ContainsAny(digits, ".eE") {
		return digits
	}
	if at := strings.IndexAny(digits, "eE"); at >= 0 {
		if exponent, err := strconv.Atoi(digits[at+1:]); err != nil || max(exponent, -exponent) > maxWhole {
			return digits
		}
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok || !n.IsInt() {
		return digits
	}
	return n.Num().String()
}

func (d *decoder) float(v reflect.Value, kind jsontext.Kind) error {
	if kind != '0' {
		return d.refuse("must be a number")
	}
	digits, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseFloat(digits, v.Type().Bits())
	if err != nil {
		d.fail(badNumber)
		return nil
	}
	v.SetFloat(n)
	return nil
}

// number reads a number and notes one that nobody could keep.
func (d *decoder) number() (string, error) {
	digits, err := d.ReadValue()
	if err == nil && !storable(digits) {
		d.fail(badNumber)
	}
	return string(digits), err
}

// maxDigits and maxExponent keep numbers in free objects within what a float64 and PostgreSQL's jsonb can hold.
const (
	maxDigits   = 400
	maxExponent = 308
)

// storable reports whether a number fits a float64 and what databases keep of it.
func storable(digits []byte) bool {
	if len(digits) > maxDigits {
		return false
	}
	s := string(digits)
	i := strings.IndexAny(s, "eE")
	if i < 0 && len(s) < 16 {
		return true
	}
	if i >= 0 {
		exponent, err := strconv.Atoi(s[i+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return false
		}
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}
