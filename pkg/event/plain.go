package event

import (
	"bytes"
	"encoding/json"
	"strings"
)

// plainAll reads an event or a batch as Encode and EncodeBatch write them, without escapes in the attributes: nearly every
// message is one, and this takes a third of the general decoder's time. It knows nothing of what is wrong: where ok is false,
// that one decides.
func plainAll(raw []byte) (all []envelope, ok bool) {
	if !bytes.HasPrefix(raw, []byte("[")) {
		v, rest, ok := plain(raw)
		return []envelope{v}, ok && len(rest) == 0
	}
	for rest := raw; ; {
		var v envelope
		v, rest, ok = plain(rest[1:]) // behind the bracket or the comma
		switch all = append(all, v); {
		case !ok:
			return nil, false
		case string(rest) == "]":
			return all, true
		case !bytes.HasPrefix(rest, []byte(",")):
			return nil, false
		}
	}
}

// plain reads one event and returns what follows it.
func plain(raw []byte) (v envelope, rest []byte, ok bool) {
	r := members{rest: raw, ok: true}
	v.SpecVersion, v.ID = "1.0", r.text(`{"specversion":"1.0","id":"`)
	v.Source = r.text(`,"source":"`)
	v.Type = r.text(`,"type":"`)
	v.Subject = r.optional(`,"subject":"`)
	v.Time = r.text(`,"time":"`)
	v.Trace = r.optional(`,"traceparent":"`)
	data, found := bytes.CutPrefix(r.rest, []byte(`,"datacontenttype":"application/json","data":`))
	end := endOfObject(data)
	if !r.ok || !found || end == 0 || end == len(data) || data[end] != '}' {
		return v, nil, false
	}
	v.Data = bytes.Clone(data[:end])
	return v, data[end+1:], json.Valid(v.Data)
}

// endOfObject is the length of the object that b begins with, 0 when there is none. It only counts braces.
func endOfObject(b []byte) int {
	if len(b) == 0 || b[0] != '{' {
		return 0
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// members reads the members of an object one after another.
type members struct {
	rest []byte
	ok   bool
}

// text reads the member that begins with prefix, up to the opening quote of its value.
func (m *members) text(prefix string) string {
	rest, found := bytes.CutPrefix(m.rest, []byte(prefix))
	end := bytes.IndexByte(rest, '"')
	if !found || end < 0 {
		m.ok = false
		return ""
	}
	value := string(rest[:end])
	m.ok = m.ok && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\\' })
	m.rest = rest[end+1:]
	return value
}

// optional is text for a member that may be missing.
func (m *members) optional(prefix string) string {
	if !bytes.HasPrefix(m.rest, []byte(prefix)) {
		return ""
	}
	return m.text(prefix)
}
