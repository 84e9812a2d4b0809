package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// messages makes an empty message of every event type.
func messages(t testing.TB) map[string]proto.Message {
	t.Helper()
	made := map[string]proto.Message{}
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		msg := mt.New().Interface()
		if eventType := event.TypeOf(msg); eventType != "" {
			made[eventType] = msg
		}
		return true
	})
	if len(made) < 20 {
		t.Fatalf("only %d event types are registered", len(made))
	}
	return made
}

// fill sets every field of msg, its strings to text and its times to at.
func fill(msg protoreflect.Message, text string, at time.Time) {
	switch m := msg.Interface().(type) {
	case *timestamppb.Timestamp:
		m.Seconds, m.Nanos = at.Unix(), int32(at.Nanosecond())
		return
	case *structpb.Struct:
		m.Fields = map[string]*structpb.Value{
			text:   structpb.NewNumberValue(1.5),
			"list": structpb.NewListValue(&structpb.ListValue{}),
		}
		return
	}
	for i := range msg.Descriptor().Fields().Len() {
		fd := msg.Descriptor().Fields().Get(i)
		switch {
		case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			element := msg.Mutable(fd).List().NewElement()
			fill(element.Message(), text, at)
			msg.Mutable(fd).List().Append(element)
		case fd.IsList():
			msg.Mutable(fd).List().Append(protoreflect.ValueOfString(text))
		case fd.Kind() == protoreflect.MessageKind:
			fill(msg.Mutable(fd).Message(), text, at)
		case fd.Kind() == protoreflect.StringKind:
			msg.Set(fd, protoreflect.ValueOfString(text))
		case fd.Kind() == protoreflect.BoolKind:
			msg.Set(fd, protoreflect.ValueOfBool(true))
		case fd.Kind() == protoreflect.Int32Kind:
			msg.Set(fd, protoreflect.ValueOfInt32(-2147483648))
		case fd.Kind() == protoreflect.Int64Kind:
			msg.Set(fd, protoreflect.ValueOfInt64(-9007199254740991))
		case fd.Kind() == protoreflect.DoubleKind:
			msg.Set(fd, protoreflect.ValueOfFloat64(1e-7))
		}
	}
}

// The own encoder must write what protojson writes, byte for byte once that is without blanks.
func TestDataEqualsProtojson(t *testing.T) {
	texts := []string{"", "plain", "quote \" backslash \\ slash / <html>&",
		"\x00\b\f\n\r\t\x1f\x7f", "Gerät 日本 \u2028 😀 \ufffd"}
	times := []time.Time{at, at.Truncate(time.Second), at.Truncate(time.Millisecond), at.Add(7), time.Unix(0, 0),
		time.Unix(-1, 5)}
	for eventType, empty := range messages(t) {
		cases := []proto.Message{empty}
		for i := range len(texts) + len(times) {
			msg := proto.Clone(empty)
			fill(msg.ProtoReflect(), texts[i%len(texts)], times[i%len(times)])
			cases = append(cases, msg)
		}
		for _, msg := range cases {
			if err := equalsProtojson(msg); err != nil {
				t.Errorf("%s: %v", eventType, err)
			}
		}
	}
}

func equalsProtojson(msg proto.Message) error {
	raw, err := (protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}).Marshal(msg)
	e, ownErr := event.New("latchkey/test", "", at, msg)
	if err != nil || ownErr != nil {
		if err == nil || ownErr == nil {
			return fmt.Errorf("fails with %v, protojson with %v", ownErr, err)
		}
		return nil
	}
	var want bytes.Buffer
	if err := json.Compact(&want, raw); err != nil {
		return err
	}
	if !bytes.Equal(e.Data, want.Bytes()) {
		return fmt.Errorf("got  %s\nwant %s", e.Data, want.Bytes())
	}
	return nil
}

func FuzzDataEqualsProtojson(f *testing.F) {
	f.Add("a", "\"\\\x00", "é", int64(1), int32(0), 1e21)
	f.Add("\xff", "\ud7ff", "\ufffd", int64(-62135596800), int32(999_999_999), math.Inf(-1))
	f.Fuzz(func(t *testing.T, a, b, c string, seconds int64, nanos int32, number float64) {
		for _, msg := range []proto.Message{
			&eventsv1.LicenseDeviceLimitExceeded{
				LicenseId: a, DeviceName: b, Os: c, MaxDevices: nanos,
				ClientTime: &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos},
			},
			&eventsv1.LicenseCreated{License: &eventsv1.License{Product: a, Terms: &eventsv1.Terms{
				Features: []string{b, c}, Counters: []*eventsv1.Counter{{Name: a, Limit: &number}, {Name: c}},
			}}},
		} {
			if err := equalsProtojson(msg); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzMessage: data of a known type is read as protojson reads it, and an unknown type is no error.
func FuzzMessage(f *testing.F) {
	for _, data := range []string{
		`{"license_id":"x","hardware_id":"aä","ip":"127.0.0.1","current_devices":1,"max_devices":1000000,` +
			`"version":-1,"returning":false,"country":"DE","lat":-12.5,"lon":0}`,
		`{"client_time":null,"x":null,"version":null}`, `{"client_time":"2026-03-18T12:00:00.5Z"}`,
		`{"client_time":"2026-03-18T12:00:00+01:00"}`,
		`{}`, `{"version":1.0}`, `{"version":01}`, `{"version":1e3}`, `{"version":"7"}`, `{"version":4294967296}`,
		`{"OS":"x"}`, `{"licenseId":"x"}`, `{"os":null}`,
		`{"x":[1]}`, `{"x":{}}`, `{"os":"a\nb"}`, `{"os":"\u0041"}`, `{"os":"a"} `, `{"os":"a",}`, `{"os" : "a"}`,
		`{"client_time":"x"}`, `{"x":tru}`,
		`{"os":"a","os":"b"}`, `{"os":null,"os":"b"}`, `{"client_time":"2026-03-18T12:00:00,5Z"}`,
		`{"client_time":"0000-01-01T00:00:00Z"}`, `{"x":1.5}`, `{"":1}`,
		`{"returning":true}`, `{"returning":"true"}`, `[]`, `{`, ``,
	} {
		f.Add(eventsv1.TypeLicenseActivated, []byte(data))
	}
	for _, msg := range messages(f) {
		fill(msg.ProtoReflect(), "text", at)
		e, err := event.New("latchkey/test", "", at, msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Type, []byte(e.Data))
	}
	f.Fuzz(func(t *testing.T, eventType string, data []byte) {
		want, known := messages(t)[eventType]
		got, err := event.Event{Type: eventType, Data: data}.Message()
		if !known {
			if got != nil || err != nil {
				t.Errorf("a type that nobody knows: %v, %v", got, err)
			}
			return
		}
		wantErr := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, want)
		if (err == nil) != (wantErr == nil) || err == nil && !proto.Equal(want, got) {
			t.Errorf("%s: %v, %v; protojson: %v, %v", data, got, err, want, wantErr)
		}
	})
}

func TestEventsSurviveTheWire(t *testing.T) {
	for eventType, msg := range messages(t) {
		fill(msg.ProtoReflect(), "Zürich \"x\"", at)
		e, err := event.New("latchkey/license", "subject", at, msg)
		if err != nil {
			t.Fatalf("%s: %v", eventType, err)
		}
		if e.Type != eventType || e.Source != "latchkey/license" || e.Subject != "subject" || !e.Time.Equal(at) {
			t.Errorf("got %+v", e)
		}
		e.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		raw, err := e.Encode()
		if err != nil {
			t.Fatalf("%s: %v", eventType, err)
		}
		got, err := event.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", eventType, err)
		}
		if diff := cmp.Diff([]event.Event{e}, got); diff != "" {
			t.Errorf("%s: %s", eventType, diff)
		}
		back := msg.ProtoReflect().New().Interface()
		if err := got[0].Into(back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(msg, back, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", eventType, diff)
		}
	}
}

// The envelope as other programs read it.
func TestEncodeWritesCloudEvents(t *testing.T) {
	e := event.Event{
		ID: "0197a3c1-0000-7000-8000-000000000001", Type: "license.activated", Source: "latchkey/license",
		Subject: "a\"b", Time: at.In(time.FixedZone("", 3600)), Data: json.RawMessage(`{"n":1}`),
	}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"0197a3c1-0000-7000-8000-000000000001","source":"latchkey/license",` +
		`"type":"license.activated",` +
		`"subject":"a\"b","time":"2026-01-02T03:04:05.678901Z","datacontenttype":"application/json","data":{"n":1}}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestBatches(t *testing.T) {
	var events []event.Event
	for i := range 3 {
		e, err := event.New("latchkey/test", fmt.Sprint(i), at, &eventsv1.LicenseValidated{})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	raw, err := event.EncodeBatch(events)
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.Decode(append([]byte(" \n"), raw...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Error(diff)
	}
}

const valid = `{"specversion":"1.0","id":"0197a3c1-0000-7000-8000-000000000001","source":"s","type":"t",` +
	`"time":"2026-01-02T03:04:05Z","data":{}}`

func TestDecodeRefuses(t *testing.T) {
	if _, err := event.Decode([]byte(valid)); err != nil {
		t.Fatalf("the valid one: %v", err)
	}
	replace := func(old, new string) string {
		changed := strings.Replace(valid, old, new, 1)
		if changed == valid {
			t.Fatalf("%s is not in the valid event", old)
		}
		return changed
	}
	for name, raw := range map[string]string{
		"nothing":           "",
		"null":              "null",
		"a number":          "1",
		"an empty object":   "{}",
		"an empty batch":    "[]",
		"a bad batch":       "[" + valid + ",{}]",
		"a null in a batch": "[null]",
		"cut off":           valid[:len(valid)-1],
		"two":               valid + valid,
		"not UTF-8":         replace(`"s"`, "\"\xff\""),
		"another version":   replace(`1.0`, `0.3`),
		"no version":        replace(`specversion`, `version`),
		"no id":             replace(`"id"`, `"x"`),
		"an id of another":  replace(`0197a3c1-0000-7000-8000-000000000001`, `1`),
		"a braced id": replace(`"0197a3c1-0000-7000-8000-000000000001"`,
			`"{0197a3c1-0000-7000-8000-000000000001}"`),
		"a number for id": replace(`"0197a3c1-0000-7000-8000-000000000001"`, `1`),
		"no source":       replace(`"s"`, `""`),
		"no type":         replace(`"t"`, `""`),
		"a long type":     replace(`"t"`, `"`+strings.Repeat("t", 256)+`"`),
		"no time":         replace(`"time"`, `"x"`),
		"a date":          replace(`2026-01-02T03:04:05Z`, `2026-01-02`),
		"the year 0":      replace(`2026-01-02T03:04:05Z`, `0001-01-01T00:00:00+01:00`),
		"no data":         replace(`"data"`, `"x"`),
		"null data":       replace(`{}`, `null`),
		"a list as data":  replace(`{}`, `[]`),
		"another content": replace(`"data"`, `"datacontenttype":"text/plain","data"`),
		"deep nesting":    strings.Repeat("[", 100_000),
		"too large":       valid + strings.Repeat(" ", event.MaxEncoded),
	} {
		if events, err := event.Decode([]byte(raw)); err == nil {
			t.Errorf("%s: decoded %+v", name, events)
		}
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	good, err := event.Decode([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*event.Event){
		"id":      func(e *event.Event) { e.ID = "" },
		"type":    func(e *event.Event) { e.Type = "" },
		"source":  func(e *event.Event) { e.Source = "" },
		"subject": func(e *event.Event) { e.Subject = "\xff" },
		"trace":   func(e *event.Event) { e.Trace = strings.Repeat("0", 256) },
		"time":    func(e *event.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"data":    func(e *event.Event) { e.Data = nil },
	} {
		e := good[0]
		change(&e)
		if raw, err := e.Encode(); err == nil {
			t.Errorf("%s: encoded %s", name, raw)
		}
	}
}

func TestNewRefusesWhatIsNoEvent(t *testing.T) {
	if _, err := event.New("s", "", at, timestamppb.Now()); err == nil {
		t.Error("a timestamp is no event")
	}
	if event.TypeOf(timestamppb.Now()) != "" {
		t.Error("a timestamp has an event type")
	}
	if _, err := event.New("s", strings.Repeat("x", 256), at, &eventsv1.ApiKeyRevoked{}); err == nil {
		t.Error("a subject of 256 bytes was taken")
	}
}

func TestTelemetry(t *testing.T) {
	for eventType, want := range map[string]bool{
		"license.validated": true, "license.validation.failed": true, "license.heartbeat": true,
		"license.activated": false, "audit.recorded": false, "anomaly.detected": false, "unknown": false,
	} {
		if got := event.IsTelemetry(eventType); got != want {
			t.Errorf("%s: %v", eventType, got)
		}
	}
	if types := event.Types(); len(types) != len(messages(t)) {
		t.Errorf("types are %v", types)
	}
}

func TestPublishers(t *testing.T) {
	if got := event.Publishers("audit.recorded"); !slices.Equal(got,
		[]string{"auth", "license", "analytics", "admin"}) {
		t.Errorf("audit.recorded: %v", got)
	}
	if got := event.Publishers("unknown"); got != nil {
		t.Errorf("unknown: %v", got)
	}
	for _, eventType := range event.Types() {
		if len(event.Publishers(eventType)) == 0 {
			t.Errorf("the broker lets nobody publish %s: give its message the option (publishers)", eventType)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{valid, "[" + valid + "," + valid + "]", "{}", "[]", "null",
		strings.Replace(valid, "{}", `{"a":[1e400]}`, 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := event.Decode(raw)
		if err != nil {
			return
		}
		again, err := event.EncodeBatch(events)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		back, err := event.Decode(again)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if diff := cmp.Diff(events, back); diff != "" {
			t.Fatal(diff)
		}
	})
}
