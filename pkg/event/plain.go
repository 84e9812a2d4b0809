package event

import (
	"bytes"
	"encoding/json"
	"strings"
)

// plain reads a single event as Encode writes it, without escapes in its attributes: nearly every message is one, and this takes
// a third of the general decoder's time. It knows nothing of what is wrong: where ok is false, that one decides.
func plain(raw []byte) (v envelope, ok bool) {
	r := members{rest: raw, ok: true}
	v.SpecVersion, v.ID = "1.0", r.text(`{"specversion":"1.0","id":"`)
	v.Source = r.text(`,"source":"`)
	v.Type = r.text(`,"type":"`)
	v.Subject = r.optional(`,"subject":"`)
	v.Time = r.text(`,"time":"`)
	v.Trace = r.optional(`,"traceparent":"`)
	data, found := bytes.CutPrefix(r.rest, []byte(`,"datacontenttype":"application/json","data":{`))
	if !r.ok || !found || !bytes.HasSuffix(data, []byte("}}")) {
		return v, false
	}
	v.Data = bytes.Clone(r.rest[len(r.rest)-len(data)-1 : len(r.rest)-1])
	return v, json.Valid(v.Data)
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
