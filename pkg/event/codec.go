package event

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// codec says how one message becomes JSON. Messages made only of texts, booleans, numbers of up to 32 bits or doubles,
// times, such messages and lists of these are written by appendJSON itself, several times faster than protojson; direct
// is false for the others.
type codec struct {
	eventType string // empty for a message that is only part of others
	direct    bool
	fields    []field
	size      int // bytes that a message takes about
}

type field struct {
	desc protoreflect.FieldDescriptor
	// name is the member's name, quoted and followed by its colon.
	name string
	kind fieldKind
	// optional fields are left out where they are not set.
	optional bool
	message  *codec // of messageField
}

type fieldKind uint8

const (
	stringField fieldKind = iota
	boolField
	int32Field
	doubleField
	timeField
	messageField
	otherField
)

// These are made once from the generated descriptors and never change.
var (
	codecs      = makeCodecs()
	types       = makeTypes(codecs)
	sortedTypes = slices.Sorted(maps.Keys(types))
)

// options are what the contract says about an event type.
type options struct {
	message    protoreflect.MessageType
	telemetry  bool
	publishers []string
}

func makeCodecs() map[protoreflect.FullName]*codec {
	made := map[protoreflect.FullName]*codec{}
	pkg := eventsv1.File_latchkey_events_v1_license_proto.Package()
	protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			desc := file.Messages().Get(i)
			if eventType := proto.GetExtension(desc.Options(), eventsv1.E_Type).(string); eventType != "" {
				made[desc.FullName()] = makeCodec(eventType, desc)
			}
		}
		return true
	})
	return made
}

func makeCodec(eventType string, desc protoreflect.MessageDescriptor) *codec {
	c := &codec{eventType: eventType, direct: true}
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		f := field{
			desc: fd, name: strconv.Quote(string(fd.Name())) + ":", kind: kindOf(fd), optional: fd.HasPresence(),
		}
		if f.kind == messageField {
			f.message = makeCodec("", fd.Message())
		}
		c.direct = c.direct && f.kind != otherField
		c.fields = append(c.fields, f)
		c.size += len(f.name) + f.size()
	}
	return c
}

// size is how many bytes the value takes about.
func (f *field) size() int {
	switch f.kind {
	case messageField:
		return f.message.size
	case stringField:
		return 36 // the length of an id
	case timeField:
		return 30
	default:
		return 4
	}
}

func kindOf(fd protoreflect.FieldDescriptor) fieldKind {
	switch {
	case fd.IsMap() || fd.ContainingOneof() != nil && !fd.HasOptionalKeyword():
		return otherField
	case fd.Kind() == protoreflect.StringKind:
		return stringField
	case fd.Kind() == protoreflect.BoolKind:
		return boolField
	case fd.Kind() == protoreflect.Int32Kind:
		return int32Field
	case fd.Kind() == protoreflect.DoubleKind:
		return doubleField
	case fd.Kind() == protoreflect.MessageKind:
		return kindOfMessage(fd.Message())
	default:
		return otherField
	}
}

// kindOfMessage knows that protobuf's own messages have their own forms in JSON.
func kindOfMessage(desc protoreflect.MessageDescriptor) fieldKind {
	switch {
	case desc.FullName() == (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor().FullName():
		return timeField
	case desc.FullName().Parent() == "google.protobuf":
		return otherField
	default:
		return messageField
	}
}

func makeTypes(codecs map[protoreflect.FullName]*codec) map[string]options {
	made := map[string]options{}
	for name, p := range codecs {
		message, err := protoregistry.GlobalTypes.FindMessageByName(name)
		if err != nil {
			panic("event: " + err.Error()) // makeCodecs has found it in the same registry
		}
		desc := message.Descriptor()
		made[p.eventType] = options{
			message:    message,
			telemetry:  proto.GetExtension(desc.Options(), eventsv1.E_Telemetry).(bool),
			publishers: proto.GetExtension(desc.Options(), eventsv1.E_Publishers).([]string),
		}
	}
	return made
}

func codecOf(msg proto.Message) *codec { return codecs[msg.ProtoReflect().Descriptor().FullName()] }

// appendJSON appends what protojson writes for msg with UseProtoNames and EmitDefaultValues, without blanks.
func (c *codec) appendJSON(b []byte, m protoreflect.Message) ([]byte, error) {
	if !c.direct {
		return appendProtoJSON(b, m.Interface())
	}
	if b == nil {
		b = make([]byte, 0, c.size)
	}
	b = append(b, '{')
	first := true
	for i := range c.fields {
		f := &c.fields[i]
		if f.optional && !m.Has(f.desc) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		if b, err = f.append(append(b, f.name...), m.Get(f.desc)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (f *field) append(b []byte, v protoreflect.Value) ([]byte, error) {
	if !f.desc.IsList() {
		return f.appendValue(b, v)
	}
	b = append(b, '[')
	list := v.List()
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = f.appendValue(b, list.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (f *field) appendValue(b []byte, v protoreflect.Value) ([]byte, error) {
	switch f.kind {
	case stringField:
		return appendString(b, v.String())
	case boolField:
		return strconv.AppendBool(b, v.Bool()), nil
	case int32Field:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case doubleField:
		return appendDouble(b, v.Float())
	case timeField:
		return appendTimestamp(b, v.Message().Interface().(*timestamppb.Timestamp))
	default:
		return f.message.appendJSON(b, v.Message())
	}
}

func appendProtoJSON(b []byte, msg proto.Message) ([]byte, error) {
	raw, err := (protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}).Marshal(msg)
	if err != nil {
		return nil, err
	}
	// protojson puts in blanks at random, so that nobody relies on its bytes.
	buf := bytes.NewBuffer(b)
	if err := json.Compact(buf, raw); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// appendDouble writes a number as encoding/json and protojson do, and as texts what JSON has no numbers for.
func appendDouble(b []byte, v float64) ([]byte, error) {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...), nil
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...), nil
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...), nil
	}
	number, err := json.Marshal(v)
	return append(b, number...), err
}

// appendTimestamp writes RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction, as protobuf's JSON mapping asks.
func appendTimestamp(b []byte, ts *timestamppb.Timestamp) ([]byte, error) {
	if err := ts.CheckValid(); err != nil {
		return nil, err
	}
	b = append(b, '"')
	b = ts.AsTime().AppendFormat(b, "2006-01-02T15:04:05.000000000")
	b = bytes.TrimSuffix(b, []byte("000"))
	b = bytes.TrimSuffix(b, []byte("000"))
	b = bytes.TrimSuffix(b, []byte(".000"))
	return append(b, 'Z', '"'), nil
}

func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errInvalidUTF8
	}
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = appendEscaped(append(b, s[start:i]...), c)
			start = i + 1
		}
	}
	return append(append(b, s[start:]...), '"'), nil
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	default:
		const digits = "0123456789abcdef"
		return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
}

// timeLayout is how an envelope writes its time: always six digits, so that texts sort as times do.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}
