// Package event defines the events on the bus: CloudEvents 1.0 in JSON, whose data is a message of
// proto/latchkey/events/v1 as protobuf JSON with proto field names. Source: github.com/cloudevents/spec,
// cloudevents/formats/json-format.md.
package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Remembered is for how long consumers know which events they processed. An older one that is delivered again is
// counted twice.
const Remembered = 400 * 24 * time.Hour

// Event is one fact. Two events with the same ID are the same fact delivered twice.
type Event struct {
	// ID is a UUID; consumers remember it to take each event once.
	ID string
	// Type is the name of the event and its routing key, for example "license.activated".
	Type string
	// Source is who says so, for example "latchkey/license".
	Source string
	// Subject is the id of what the event is about; it may be empty.
	Subject string
	// Time is when it happened, in UTC and to the microsecond.
	Time time.Time
	// Data is a JSON object.
	Data json.RawMessage
	// Trace is a W3C traceparent; it may be empty.
	Trace string
}

// New makes an event of msg, which must be a message with the latchkey.events.v1.type option. It fails for any other
// message, and for what Check refuses.
func New(source, subject string, at time.Time, msg proto.Message) (Event, error) {
	p := codecOf(msg)
	if p == nil {
		return Event{}, fmt.Errorf("event: %s is not an event message", msg.ProtoReflect().Descriptor().FullName())
	}
	data, err := p.appendJSON(nil, msg.ProtoReflect())
	if err != nil {
		return Event{}, fmt.Errorf("event: encode %s: %w", p.eventType, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, fmt.Errorf("event: make an id: %w", err)
	}
	e := Event{
		ID: id.String(), Type: p.eventType, Source: source, Subject: subject,
		Time: at.UTC().Truncate(time.Microsecond), Data: data,
	}
	return e, e.Check()
}

// Into reads the event's data into msg. Members that msg does not know are ignored, so that an older consumer
// understands a newer publisher.
func (e Event) Into(msg proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(e.Data, msg); err != nil {
		return fmt.Errorf("event: data of %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// Message is the event's data as the message of its type, nil for a type that this program does not know.
func (e Event) Message() (proto.Message, error) {
	t, known := types[e.Type]
	if !known {
		return nil, nil
	}
	msg := t.message.New().Interface()
	return msg, e.Into(msg)
}

// TypeOf is the event type of msg, "" when msg is not an event.
func TypeOf(msg proto.Message) string {
	if p := codecOf(msg); p != nil {
		return p.eventType
	}
	return ""
}

// IsTelemetry reports whether events of this type only count use: they travel in batches and are not kept in the
// outbox.
func IsTelemetry(eventType string) bool { return types[eventType].telemetry }

// Publishers names the services that publish events of this type, as the contract says; nil for a type that is not in
// it.
func Publishers(eventType string) []string { return slices.Clone(types[eventType].publishers) }

// Types lists every event type, sorted.
func Types() []string { return append([]string(nil), sortedTypes...) }
