package ingest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// TestPoisonCostsOnlyItself demands one commit for a batch in which one event of a hundred cannot be stored.
func TestPoisonCostsOnlyItself(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s, counting := &script{}, r.counting()
		var events []event.Event
		for i := range 2000 {
			b := body{"hardware_id": "A"}
			if i%100 == 50 {
				b["hardware_id"] = "a\x00b"
			}
			events = append(events, s.event(eventsv1.TypeLicenseValidated, now, b))
		}
		var rejected bus.Rejected
		if err := r.consumer.Handle(t.Context(), events); !errors.As(err, &rejected) || len(rejected) != 20 {
			t.Fatalf("%d rejected, %v", len(rejected), err)
		}
		if counting.commits != 1 {
			t.Errorf("%d commits for one batch", counting.commits)
		}
		if f, err := r.reports.Figures(t.Context(), license); err != nil || f.ValidationsTotal != 1980 {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

// counting makes the harness's consumer one whose commits are counted.
func (r *harness) counting() *countingStore {
	c := &countingStore{Store: r.store}
	r.consumer = ingest.New(c, detect.New(), r.clock, testkit.Log(r.t))
	return c
}

type countingStore struct {
	ingest.Store
	// asked counts questions to the inbox, loads those for states, commits batches written, and taken their events.
	asked, loads, commits, taken int
}

func (c *countingStore) Taken(ctx context.Context, events []usage.Event) (map[string]bool, error) {
	c.asked++
	return c.Store.Taken(ctx, events)
}

func (c *countingStore) States(ctx context.Context, subjects []string) (map[string]usage.State, error) {
	c.loads++
	return c.Store.States(ctx, subjects)
}

func (c *countingStore) Write(ctx context.Context, now time.Time, b *usage.Batch) error {
	err := c.Store.Write(ctx, now, b)
	if err == nil {
		c.commits, c.taken = c.commits+1, c.taken+len(b.Events)
	}
	return err
}

// TestRepeatedEventsAreCheap demands that of a long log which is published again only the first batch is prepared in
// vain, and that new events are not asked about.
func TestRepeatedEventsAreCheap(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s, counting := &script{}, r.counting()
		var batches [][]event.Event
		for range 5 {
			batches = append(batches, []event.Event{s.event(eventsv1.TypeLicenseValidated, now, nil),
				s.event(eventsv1.TypeLicenseUpdated, now, nil)})
		}
		for _, c := range []struct {
			name    string
			batches [][]event.Event
			want    countingStore
		}{
			// The first batch after a start may be one that was not acknowledged before; beginning reads states for
			// the replay.
			{"new events", batches, countingStore{asked: 1, loads: 6, commits: 5, taken: 10}},
			{"the same again", batches, countingStore{asked: 5, loads: 1}},
			{"half a batch", [][]event.Event{{batches[0][0], s.event(eventsv1.TypeLicenseValidated, now, nil)}},
				countingStore{asked: 1, loads: 2, commits: 1, taken: 1}},
			{"new ones after that", [][]event.Event{{s.event(eventsv1.TypeLicenseValidated, now, nil)},
				{s.event(eventsv1.TypeLicenseValidated, now, nil)}},
				countingStore{asked: 1, loads: 2, commits: 2, taken: 2}},
		} {
			*counting = countingStore{Store: counting.Store}
			for _, batch := range c.batches {
				r.handle(batch...)
			}
			c.want.Store = counting.Store
			if *counting != c.want {
				t.Errorf("%s: %+v, want %+v", c.name, *counting, c.want)
			}
		}
	})
}

// TestEveryTextIsTakenIn fills every text member of every event with texts that the public API admits, and sends
// them the way that events go: none is rejected, all are counted.
func TestEveryTextIsTakenIn(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		random, total, counting := rand.New(rand.NewPCG(7, 1)), 0, r.counting()
		for round := range 20 {
			var events []event.Event
			for _, message := range eventMessages() {
				m := message.New()
				fill(m, random)
				e, err := event.New("latchkey/test", "", now.Add(time.Duration(round)*time.Second), m.Interface())
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, e)
			}
			body, err := event.EncodeBatch(events)
			if err != nil {
				t.Fatal(err)
			}
			if events, err = event.Decode(body); err != nil {
				t.Fatal(err)
			}
			r.handle(events...)
			total += len(events)
		}
		if counting.taken != total {
			t.Errorf("%d events of %d were taken in", counting.taken, total)
		}
	})
}

// TestSessionDataIsNotKept: a heartbeat's 4 KiB from its device are not stored, whatever they look like.
func TestSessionDataIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		for _, data := range []any{body{"a": strings.Repeat("x", 4000)},
			body{"session_data": body{"x": `"session_data"`}}, nil, "text"} {
			r.handle(s.event(eventsv1.TypeLicenseHeartbeat, now,
				body{"hardware_id": "A", "app_version": `"session_data"`, "session_data": data}))
		}
		kept := 0
		err := r.store.Events(t.Context(), license, now.Add(-time.Hour), now.Add(time.Hour),
			func(e *usage.Event) error {
				if kept++; len(e.Data) > 200 || strings.Contains(string(e.Data), `"session_data":`) ||
					e.AppVersion != `"session_data"` {
					t.Errorf("kept %d bytes: %.200s", len(e.Data), e.Data)
				}
				return nil
			})
		if err != nil || kept != 4 {
			t.Errorf("%d events are kept, %v", kept, err)
		}
	})
}

// eventMessages are the messages of all events.
func eventMessages() (found []protoreflect.MessageType) {
	pkg := eventsv1.File_latchkey_events_v1_license_proto.Package()
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		if m.Descriptor().ParentFile().Package() == pkg &&
			proto.GetExtension(m.Descriptor().Options(), eventsv1.E_Type).(string) != "" {
			found = append(found, m)
		}
		return true
	})
	return found
}

// fill sets every text of the message, save ids of licenses, which the suite makes itself.
func fill(m protoreflect.Message, random *rand.Rand) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.Name() == "license_id":
			m.Set(f, protoreflect.ValueOfString(license))
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			m.Mutable(f).List().Append(protoreflect.ValueOfString(testkit.Text(random)))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(testkit.Text(random)))
		case f.Kind() == protoreflect.MessageKind && f.Message().FullName() == "google.protobuf.Struct":
			text := testkit.Text(random)
			data, err := structpb.NewStruct(map[string]any{text: text, "list": []any{text, 1e300, nil}})
			if err != nil {
				panic(err)
			}
			m.Set(f, protoreflect.ValueOfMessage(data.ProtoReflect()))
		case f.Kind() == protoreflect.MessageKind && !f.IsList() &&
			f.Message().FullName() != "google.protobuf.Timestamp":
			fill(m.Mutable(f).Message(), random)
		}
	}
}
