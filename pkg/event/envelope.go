package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// Content types of a message that carries one event, and of one that carries a JSON array of them.
const (
	ContentType      = "application/cloudevents+json"
	ContentTypeBatch = "application/cloudevents-batch+json"
)

// MaxEncoded is the largest message that Decode reads, in bytes.
const MaxEncoded = 4 << 20

const maxAttribute = 255

var errInvalidUTF8 = errors.New("text is not UTF-8")

// Encode writes the envelope around Data, which is taken as it is: it must be a JSON object.
func (e Event) Encode() ([]byte, error) {
	return e.append(make([]byte, 0, e.size()))
}

// batchBytes is about how large a batch becomes at most: well below what Decode takes.
const batchBytes = MaxEncoded / 2

// Batches cuts events, in their order, into what EncodeBatch shall write at a time: at most so many, and no more than
// Decode surely takes. An event that is larger alone is a batch by itself.
func Batches(events []Event, most int) iter.Seq[[]Event] {
	return func(yield func([]Event) bool) {
		for len(events) > 0 {
			n, size := 1, events[0].size()
			for n < min(len(events), most) && size+events[n].size() <= batchBytes {
				size += events[n].size()
				n++
			}
			if !yield(events[:n]) {
				return
			}
			events = events[n:]
		}
	}
}

// size is about how many bytes the event takes in a batch.
func (e *Event) size() int { return len(e.Data) + len(e.Subject) + len(e.Trace) + 320 }

// EncodeBatch writes a JSON array of the events.
func EncodeBatch(events []Event) ([]byte, error) {
	size := 2
	for i := range events {
		size += events[i].size()
	}
	b := append(make([]byte, 0, size), '[')
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = events[i].append(b); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (e Event) append(b []byte) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	b = append(b, `{"specversion":"1.0"`...)
	b = appendMember(b, "id", e.ID)
	b = appendMember(b, "source", e.Source)
	b = appendMember(b, "type", e.Type)
	if e.Subject != "" {
		b = appendMember(b, "subject", e.Subject)
	}
	b = appendTime(append(b, `,"time":`...), e.Time)
	if e.Trace != "" {
		b = appendMember(b, "traceparent", e.Trace)
	}
	b = append(b, `,"datacontenttype":"application/json","data":`...)
	b = append(b, e.Data...)
	return append(b, '}'), nil
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b, _ = appendString(b, value) // Check has seen that it is UTF-8
	return b
}

// Check returns what Decode would refuse in the envelope; it does not look into Data.
func (e Event) Check() error {
	if !uid.Is(e.ID) {
		return errors.New("event: id must be a UUID")
	}
	for _, a := range [...]struct {
		name, value string
		required    bool
	}{
		{"type", e.Type, true}, {"source", e.Source, true}, {"subject", e.Subject, false},
		{"traceparent", e.Trace, false},
	} {
		if a.required && a.value == "" {
			return fmt.Errorf("event %s: %s is missing", e.ID, a.name)
		}
		if len(a.value) > maxAttribute || !utf8.ValidString(a.value) {
			return fmt.Errorf("event %s: %s must be UTF-8 of at most %d bytes", e.ID, a.name, maxAttribute)
		}
	}
	if year := e.Time.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("event %s: time must lie in the years 1 to 9999", e.ID)
	}
	if len(e.Data) == 0 || e.Data[0] != '{' {
		return fmt.Errorf("event %s: data must be a JSON object", e.ID)
	}
	return nil
}

// envelope is the wire format. Members of CloudEvents that we never write (dataschema, extensions) are ignored.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Trace           string          `json:"traceparent"`
	Data            json.RawMessage `json:"data"`
}

// Decode reads one event, or a batch of at least one. It refuses everything that Encode does not write: another
// version or content type, a missing member, an id that is not a UUID, data that is not an object, trailing bytes.
func Decode(raw []byte) ([]Event, error) {
	if len(raw) > MaxEncoded {
		return nil, fmt.Errorf("event: a message of %d bytes is larger than %d", len(raw), MaxEncoded)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("event: %w", errInvalidUTF8)
	}
	var envelopes []envelope
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(raw, &envelopes); err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
	} else {
		envelopes = make([]envelope, 1)
		if err := json.Unmarshal(raw, &envelopes[0]); err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
	}
	if len(envelopes) == 0 {
		return nil, errors.New("event: the batch is empty")
	}
	return toEvents(envelopes)
}

func toEvents(envelopes []envelope) ([]Event, error) {
	events := make([]Event, len(envelopes))
	for i := range envelopes {
		var err error
		if events[i], err = envelopes[i].event(); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (v *envelope) event() (Event, error) {
	if v.SpecVersion != "1.0" {
		return Event{}, fmt.Errorf("event: specversion must be 1.0, not %.20q", v.SpecVersion)
	}
	if v.DataContentType != "" && v.DataContentType != "application/json" {
		return Event{}, fmt.Errorf("event: datacontenttype must be application/json, not %.40q", v.DataContentType)
	}
	at, err := time.Parse(time.RFC3339Nano, v.Time)
	if err != nil {
		return Event{}, fmt.Errorf("event: time must be RFC 3339: %.40q", v.Time)
	}
	e := Event{
		ID: v.ID, Type: v.Type, Source: v.Source, Subject: v.Subject,
		Time: at.UTC().Truncate(time.Microsecond), Data: v.Data, Trace: v.Trace,
	}
	return e, e.Check()
}
