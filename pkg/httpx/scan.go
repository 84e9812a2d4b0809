package httpx

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	badUTF8      = "must be valid UTF-8"
	badControl   = "must not contain control characters"
	badSurrogate = "must not contain half of a surrogate pair"
	badNumber    = "must be a number within range"
	tooDeep      = "is nested too deeply; 32 levels are allowed"
)

const (
	maxDepth    = 32
	maxProblems = 20
	// maxDigits and maxExponent keep numbers in free objects within what a float64 and PostgreSQL's jsonb can hold.
	maxDigits   = 400
	maxExponent = 308
)

// errStop unwinds the scanner after something that makes the rest unreadable.
var errStop = errors.New("stop")

// scanner walks over one JSON text, checks all of it, and notes problems by the path of the member they are in.
type scanner struct {
	data     []byte
	pos      int
	depth    int
	root     int // where paths begin: 0, or the depth of the row that is read
	path     [maxDepth]step
	problems Fields
}

// step is one part of a path: a member's name, or an index where the name is nil.
type step struct {
	name  []byte
	index int
}

// fail notes a problem of the member the scanner is in.
func (s *scanner) fail(problem string) {
	if len(s.problems) < maxProblems {
		s.note(s.where(), problem)
	}
}

func (s *scanner) note(where, problem string) {
	if s.problems == nil {
		s.problems = Fields{}
	}
	s.problems.Add(where, problem)
}

// syntax ends the scan: nothing that was noted before it counts, as the text is not what it seemed.
func (s *scanner) syntax() error {
	s.problems = nil
	s.note("body", "is not valid JSON at byte "+strconv.Itoa(s.pos))
	return errStop
}

// where is the path of the current member, such as os_info.name or features[3]; the text itself is "body".
func (s *scanner) where() string {
	const longest = 200
	var out []byte
	for _, st := range s.path[s.root:s.depth] {
		switch {
		case st.name == nil && st.index < 0: // inside the braces, before a name
		case st.name == nil:
			out = fmt.Appendf(out, "[%d]", st.index)
		case len(out) > 0:
			out = append(append(out, '.'), st.name...)
		default:
			out = append(out, st.name...)
		}
	}
	if len(out) == 0 {
		return "body"
	}
	if len(out) > longest {
		out = append(out[:longest:longest], "..."...)
	}
	return string([]rune(string(out))) // names may be cut within, or hold, bytes that are no UTF-8
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch b := s.data[s.pos]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// enter begins an object or a list.
func (s *scanner) enter() error {
	if s.depth == maxDepth {
		s.problems, s.root = nil, 0
		s.fail(tooDeep)
		return errStop
	}
	s.pos++
	s.path[s.depth] = step{index: -1}
	s.depth++
	return nil
}

// more steps to the next member or entry of the container that was entered; close is its last byte.
func (s *scanner) more(first bool, close byte) (bool, error) {
	b := s.next()
	switch {
	case b == close:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case b != ',':
		return false, s.syntax()
	}
	s.pos++
	return true, nil
}

// member reads a name and its colon, and makes it the current path.
func (s *scanner) member() ([]byte, error) {
	s.path[s.depth-1] = step{index: -1}
	if s.next() != '"' {
		return nil, s.syntax()
	}
	name, err := s.text()
	if err != nil {
		return nil, err
	}
	if s.next() != ':' {
		return nil, s.syntax()
	}
	s.pos++
	s.path[s.depth-1].name = name
	return name, nil
}

// skip checks one value of any kind.
func (s *scanner) skip() error {
	switch b := s.next(); {
	case b == '{':
		return s.skipObject()
	case b == '[':
		return s.skipList()
	case b == '"':
		_, _, err := s.quoted()
		return err
	case b == 't':
		return s.literal("true")
	case b == 'f':
		return s.literal("false")
	case b == 'n':
		return s.literal("null")
	}
	digits, err := s.number()
	if err == nil && !storable(digits) {
		s.fail(badNumber)
	}
	return err
}

func (s *scanner) skipObject() error {
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if !more {
			return err
		}
		if _, err := s.member(); err != nil {
			return err
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}

func (s *scanner) skipList() error {
	if err := s.enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := s.more(i == 0, ']')
		if !more {
			return err
		}
		s.path[s.depth-1].index = i
		if err := s.skip(); err != nil {
			return err
		}
	}
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.syntax()
	}
	s.pos += len(word)
	return nil
}

// number reads digits as the JSON grammar has them.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	s.accept('-', '-')
	if !s.accept('0', '0') && s.digits() == 0 {
		return nil, s.syntax()
	}
	if s.accept('.', '.') && s.digits() == 0 {
		return nil, s.syntax()
	}
	if s.accept('e', 'E') {
		s.accept('+', '-')
		if s.digits() == 0 {
			return nil, s.syntax()
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) accept(a, b byte) bool {
	if s.pos < len(s.data) && (s.data[s.pos] == a || s.data[s.pos] == b) {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// storable tells whether a number fits a float64 and what databases keep of it.
func storable(digits []byte) bool {
	if len(digits) < 16 && !hasExponent(digits) {
		return true
	}
	if len(digits) > maxDigits {
		return false
	}
	for i, b := range digits {
		if b == 'e' || b == 'E' {
			exponent, err := strconv.Atoi(string(digits[i+1:]))
			if err != nil || exponent > maxExponent || exponent < -maxExponent {
				return false
			}
		}
	}
	_, err := strconv.ParseFloat(string(digits), 64)
	return err == nil
}

func hasExponent(digits []byte) bool {
	for _, b := range digits {
		if b == 'e' || b == 'E' {
			return true
		}
	}
	return false
}

// quoted reads a string and returns what is between the quotes, and whether that has escapes. What no string may hold is
// noted, and the rest still read.
func (s *scanner) quoted() (inner []byte, escaped bool, err error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch b := s.data[s.pos]; {
		case b == '"':
			inner = s.data[start:s.pos]
			s.pos++
			return inner, escaped, nil
		case b == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case b < ' ' || b == 0x7f:
			s.fail(badControl)
			s.pos++
		case b < utf8.RuneSelf:
			s.pos++
		default:
			s.rune()
		}
	}
	return nil, false, s.syntax()
}

func (s *scanner) rune() {
	r, size := utf8.DecodeRune(s.data[s.pos:])
	if r == utf8.RuneError && size == 1 {
		s.fail(badUTF8)
	}
	if r < 0xa0 {
		s.fail(badControl)
	}
	s.pos += size
}

// escape reads what follows a backslash. Escapes that stand for control characters are refused as these are.
func (s *scanner) escape() error {
	s.pos++
	if s.pos == len(s.data) {
		return s.syntax()
	}
	switch s.data[s.pos] {
	case '"', '\\', '/':
		s.pos++
		return nil
	case 'b', 'f', 'n', 'r', 't':
		s.fail(badControl)
		s.pos++
		return nil
	case 'u':
		return s.escapedRune()
	}
	return s.syntax()
}

func (s *scanner) escapedRune() error {
	r, ok := s.hex()
	if !ok {
		return s.syntax()
	}
	switch {
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		s.fail(badControl)
	case r >= 0xdc00 && r <= 0xdfff:
		s.fail(badSurrogate)
	case r >= 0xd800 && r <= 0xdbff:
		low := rune(0)
		if s.pos+1 < len(s.data) && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u' {
			s.pos++
			if low, ok = s.hex(); !ok {
				return s.syntax()
			}
		}
		if low < 0xdc00 || low > 0xdfff {
			s.fail(badSurrogate)
		}
	}
	return nil
}

// hex reads the u and four digits of an escape.
func (s *scanner) hex() (rune, bool) {
	if len(s.data)-s.pos < 5 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 16)
	s.pos += 5
	return rune(n), err == nil
}
